package main

import (
	"fmt"
	"strconv"
	"syscall"
	"time"
)

// result is how the service ended: by the status of a process, or by an exit code of our own.
type result struct {
	status syscall.WaitStatus
	exit   int
	// asked is whether somebody wanted it to end.
	asked bool
}

// code is the exit status for the engine: the process's own; 128 and the signal's number for a signal; 0 where
// the service ended as it was asked to, and for what its unit counts as success (SuccessExitStatus=).
func (r *result) code(success []string) int {
	if r.exit != 0 {
		return r.exit
	}
	code := r.status.ExitStatus()
	name := strconv.Itoa(code)
	if r.status.Signaled() {
		number := r.status.Signal()
		// What systemd takes for a clean end (systemd.service(5), SuccessExitStatus=).
		switch number {
		case syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE:
			if r.asked {
				return 0
			}
		}
		code = 128 + int(number)
		name = signalName(number)
	}
	for _, accepted := range success {
		if accepted == name {
			return 0
		}
	}
	return code
}

func signalName(number syscall.Signal) string {
	for name, known := range signalNumbers {
		if known == number {
			return name
		}
	}
	return strconv.Itoa(int(number))
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + signalName(status.Signal())
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// start brings the service up; a result means that it is over already.
func (s *supervisor) start() *result {
	bounds := within(s.spec.StartSeconds)
	bounds.stop = s.stop
	for _, list := range [][]Command{s.spec.Before, s.spec.StartPre} {
		if failed := s.runAll(list, nil, bounds); failed != nil {
			return failed
		}
	}
	if s.accepts() {
		return s.serveConnections()
	}
	var failed *result
	switch s.spec.Type {
	case "oneshot":
		return s.runJob()
	case "forking":
		failed = s.startForking(bounds)
	default:
		failed = s.startMain(bounds)
	}
	if failed != nil {
		return failed
	}
	return s.runAll(s.spec.StartPost, s.mainEnvironment(), bounds)
}

// runJob runs the commands of a oneshot service, which may take as long as they need: the container ends with
// them.
func (s *supervisor) runJob() *result {
	unbounded := within(0)
	unbounded.stop = s.stop
	for _, list := range [][]Command{s.spec.Start, s.spec.StartPost} {
		if failed := s.runAll(list, nil, unbounded); failed != nil {
			return failed
		}
	}
	return &result{}
}

// startMain starts a process that stays, and for type notify waits until it says that it is ready.
func (s *supervisor) startMain(bounds bounds) *result {
	extra := map[string]string{}
	if s.heard != nil {
		extra["NOTIFY_SOCKET"] = s.heard.name
	}
	given := s.standard()
	if s.spec.Execution.StandardInput == "inherit" {
		given.input = 0
	}
	given.sockets = s.sockets
	// Without Accept= the one listening socket is the input itself, as inetd's "wait" has it.
	if s.spec.Execution.StandardInput == "socket" && len(s.sockets) == 1 {
		given.input, given.output, given.sockets = s.sockets[0].fd, s.sockets[0].fd, nil
	}
	pid, ended, err := s.spawn(s.spec.Start[0], extra, given)
	if err != nil {
		say("cannot start %s: %v", s.spec.Start[0].Words[0], err)
		return &result{exit: exitCannotRun}
	}
	s.setMain(pid)
	if s.heard == nil {
		return nil
	}
	select {
	case <-s.heard.ready:
		return nil
	case status := <-ended:
		return &result{status: status}
	case <-s.stop:
		return nil
	case <-bounds.timer():
		say("%s did not say that it is ready within %g s", s.spec.Service, s.spec.StartSeconds)
		return &result{exit: exitCannotRun}
	}
}

// startForking runs a command that leaves a daemon behind, and finds that daemon.
func (s *supervisor) startForking(bounds bounds) *result {
	given := s.standard()
	given.sockets = s.sockets
	_, ended, err := s.spawn(s.spec.Start[0], nil, given)
	if err != nil {
		say("cannot start %s: %v", s.spec.Start[0].Words[0], err)
		return &result{exit: exitCannotRun}
	}
	select {
	case status := <-ended:
		if status.ExitStatus() != 0 {
			say("%s ended with %s", s.spec.Start[0].Words[0], describe(status))
			return &result{status: status}
		}
	case <-bounds.timer():
		say("%s did not go to the background within %g s", s.spec.Start[0].Words[0], s.spec.StartSeconds)
		return &result{exit: exitCannotRun}
	case <-s.stop:
		return nil
	}
	return s.findDaemon(bounds)
}

// findDaemon waits for the PID file, or else takes the one process that is left; of several, none is the main
// one, and the service lives as long as any of them.
func (s *supervisor) findDaemon(bounds bounds) *result {
	for {
		if pid, alive := readPIDFile(s.spec.PIDFile); alive {
			s.setMain(pid)
			return nil
		}
		left := descendants()
		if len(left) == 0 {
			say("%s went to the background, and no process of it is left", s.spec.Service)
			return &result{exit: 1}
		}
		if s.spec.PIDFile == "" {
			if len(left) == 1 || left[1].parent == left[0].pid {
				s.setMain(left[0].pid)
			}
			return nil
		}
		select {
		case <-bounds.timer():
			say("the PID file %s names no living process", s.spec.PIDFile)
			return &result{exit: exitCannotRun}
		case <-s.stop:
			return nil
		case <-time.After(pollInterval):
		}
	}
}
