package main

import (
	"encoding/json"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const prSetChildSubreaper = 36

// supervisor runs one service from its preparation to its end.
type supervisor struct {
	spec     *Spec
	children *children
	sockets  []opened
	heard    *notifications
	secrets  map[string]string
	stop     chan struct{}

	lock    sync.Mutex
	mainPID int
}

func newSupervisor(spec *Spec) *supervisor {
	return &supervisor{spec: spec, stop: make(chan struct{})}
}

// run gives the exit status of the container.
func (s *supervisor) run() int {
	if os.Getpid() != 1 {
		syscall.RawSyscall6(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0, 0, 0, 0)
	}
	s.children = newChildren()
	s.listenForSignals()
	prepare(s.spec)
	var err error
	if s.secrets, err = readSecretEnvironment(s.spec.SecretEnvironment); err != nil {
		say("%v", err)
	}
	if s.spec.DevLog {
		answerLog()
	}
	if s.sockets, err = openSockets(s.spec.Sockets); err != nil {
		say("%v", err)
		return exitCannotRun
	}
	if s.spec.Type == "notify" {
		if s.heard, err = listenForNotifications(); err != nil {
			say("no socket for notifications: %v", err)
			return exitCannotRun
		}
	}
	result := s.start()
	if result == nil {
		result = s.follow()
	}
	s.end(result)
	return result.code(s.spec.SuccessStatus)
}

// listenForSignals turns TERM and INT into a request to stop, HUP into a reload where there is one, and passes
// everything else on to the main process. A request to stop has a channel of its own: the runtime drops what finds
// a channel full, and children may end in any number at once.
func (s *supervisor) listenForSignals() {
	stopping := make(chan os.Signal, 1)
	signal.Notify(stopping, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stopping
		close(s.stop)
	}()
	arriving := make(chan os.Signal, 16)
	signal.Notify(arriving)
	go func() {
		for arrived := range arriving {
			number := arrived.(syscall.Signal)
			switch {
			case number == syscall.SIGTERM || number == syscall.SIGINT:
			case number == syscall.SIGCHLD || number == syscall.SIGURG || number == syscall.SIGPIPE:
			case number == syscall.SIGHUP && len(s.spec.Reload) > 0:
				go s.runAll(s.spec.Reload, s.mainEnvironment(), within(s.spec.StartSeconds))
			default:
				if pid := s.main(); pid > 0 {
					_ = syscall.Kill(pid, number)
				}
			}
		}
	}()
}

func (s *supervisor) main() int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.mainPID
}

func (s *supervisor) setMain(pid int) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.mainPID = pid
}

func (s *supervisor) mainEnvironment() map[string]string {
	if pid := s.main(); pid > 0 {
		return map[string]string{"MAINPID": strconv.Itoa(pid)}
	}
	return map[string]string{}
}

// files are the descriptors that a command gets: its standard input, and sockets from 3 on.
type files struct {
	input   int
	output  int
	sockets []opened
}

func (given files) close() {
	if given.input > 2 {
		syscall.Close(given.input)
	}
}

// spawn starts a command; its status arrives on the channel.
func (s *supervisor) spawn(
	command Command, extra map[string]string, given files,
) (int, <-chan syscall.WaitStatus, error) {
	execution := s.spec.executionOf(command)
	environment := s.environment(execution, command.Execution != nil, extra)
	words := command.Words
	if command.Expand {
		words = expand(words, environment)
	}
	handed := []uintptr{uintptr(given.input), uintptr(given.output), 2}
	if len(given.sockets) > 0 {
		names := []string{}
		for _, socket := range given.sockets {
			handed = append(handed, uintptr(socket.fd))
			names = append(names, socket.spec.Name)
		}
		environment["LISTEN_FDS"] = strconv.Itoa(len(given.sockets))
		environment["LISTEN_FDNAMES"] = strings.Join(names, ":")
	}
	told, err := json.Marshal(order{words, command.Name, command.Privileged, *execution, len(given.sockets)})
	if err != nil {
		return 0, nil, err
	}
	return s.children.start([]string{"init", becomeOption, string(told)}, &syscall.ProcAttr{
		Env:   sorted(environment),
		Files: handed,
		Sys:   &syscall.SysProcAttr{Setsid: execution.StandardInput != "inherit"},
	})
}

// environment is what a command sees. For the service itself the container's variables win, which hold what its
// unit set and what a person changed; a command of another unit sees that unit's own.
func (s *supervisor) environment(
	execution *Execution, foreign bool, extra map[string]string,
) map[string]string {
	environment := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	container := map[string]string{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		container[name] = value
	}
	layers := []map[string]string{execution.Environment, s.secrets, container}
	if foreign {
		layers = []map[string]string{container, execution.Environment}
	}
	for _, layer := range append(layers, extra) {
		for name, value := range layer {
			environment[name] = value
		}
	}
	for _, name := range execution.Unset {
		delete(environment, name)
	}
	return environment
}

func sorted(environment map[string]string) []string {
	entries := make([]string, 0, len(environment))
	for name, value := range environment {
		entries = append(entries, name+"="+value)
	}
	sort.Strings(entries)
	return entries
}

// standard are the files of a command that is not the service itself: nothing to read.
func (s *supervisor) standard() files {
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		null = 0
	}
	return files{input: null, output: 1}
}

// bounds end a command that takes too long, or that is not wanted any more.
type bounds struct {
	deadline time.Time
	stop     <-chan struct{}
}

// within bounds commands by a number of seconds, 0 meaning none.
func within(limit float64) bounds { return bounds{deadline: time.Now().Add(seconds(limit))} }

func (b bounds) timer() <-chan time.Time { return time.After(time.Until(b.deadline)) }

// runAll runs commands one after the other; the first that fails and may not ends it with its status.
func (s *supervisor) runAll(list []Command, extra map[string]string, bounds bounds) *result {
	for _, command := range list {
		failed := s.runOne(command, extra, bounds)
		if failed != nil && (failed.asked || !command.MayFail) {
			return failed
		}
	}
	return nil
}

func (s *supervisor) runOne(command Command, extra map[string]string, bounds bounds) *result {
	given := s.standard()
	defer given.close()
	pid, ended, err := s.spawn(command, extra, given)
	if err != nil {
		say("cannot start %s: %v", command.Words[0], err)
		return &result{exit: exitCannotRun}
	}
	select {
	case status := <-ended:
		if status.Exited() && status.ExitStatus() == 0 {
			return nil
		}
		say("%s ended with %s", strings.Join(command.Words, " "), describe(status))
		return &result{status: status}
	case <-bounds.timer():
		say("%s takes too long and is ended", strings.Join(command.Words, " "))
		_ = syscall.Kill(pid, syscall.SIGKILL)
		<-ended
		return &result{exit: exitCannotRun}
	case <-bounds.stop:
		_ = syscall.Kill(pid, signalNumber(s.spec.KillSignal))
		return &result{asked: true}
	}
}
