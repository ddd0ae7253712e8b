package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"
)

// becomeOption marks the second stage: init starts itself once more, as the process that becomes a command,
// because what is set there (limits, groups, capabilities) has no place in fork and exec.
const becomeOption = "--become"

const (
	exitCannotRun = 126
	exitNotFound  = 127
)

const (
	prSetKeepCaps         = 8
	prCapbsetDrop         = 24
	prSetNoNewPrivs       = 38
	prCapAmbient          = 47
	prCapAmbientRaise     = 2
	capabilityVersion3    = 0x20080522
	lastCapabilityDefault = 40
)

// order is what the second stage is told.
type order struct {
	Words       []string  `json:"words"`
	Name        string    `json:"name"`
	Privileged  bool      `json:"privileged"`
	Execution   Execution `json:"execution"`
	ListenCount int       `json:"listen_count"`
}

// become turns this process into the command; it returns only by ending the process.
func become(text string) {
	var order order
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		say("cannot read the second stage's order: %v", err)
		os.Exit(exitConfig)
	}
	if err := order.apply(); err != nil {
		say("cannot start %s: %v", order.Words[0], err)
		os.Exit(exitCannotRun)
	}
	words := append([]string{}, order.Words...)
	if order.Name != "" {
		words[0] = order.Name
	}
	if order.ListenCount > 0 {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	err := syscall.Exec(order.Words[0], words, os.Environ())
	say("cannot start %s: %v", order.Words[0], err)
	if errors.Is(err, syscall.ENOENT) {
		os.Exit(exitNotFound)
	}
	os.Exit(exitCannotRun)
}

func (order *order) apply() error {
	execution := &order.Execution
	mask, err := octal(execution.UMask, 0o022)
	if err != nil {
		return err
	}
	syscall.Umask(int(mask))
	for name, limit := range execution.Limits {
		setLimit(limitNumbers[name], name, limit)
	}
	execution.setPriorities()
	if err := execution.setCredentials(order.Privileged); err != nil {
		return err
	}
	return execution.enterDirectory()
}

// setLimit asks for a limit and takes what it gets: an engine's own hard limit is below what many units ask for.
func setLimit(number int, name string, limit Limit) {
	wanted := syscall.Rlimit{Cur: unlimited(limit.Soft), Max: unlimited(limit.Hard)}
	if syscall.Setrlimit(number, &wanted) == nil {
		return
	}
	var now syscall.Rlimit
	if err := syscall.Getrlimit(number, &now); err != nil {
		return
	}
	wanted.Max = min(wanted.Max, now.Max)
	wanted.Cur = min(wanted.Cur, wanted.Max)
	if err := syscall.Setrlimit(number, &wanted); err != nil {
		say("cannot set the limit %s: %v", name, err)
	}
}

func unlimited(value int64) uint64 {
	if value < 0 {
		return ^uint64(0)
	}
	return uint64(value)
}

// setPriorities sets what makes the service more or less important; an engine that forbids it changes nothing.
func (execution *Execution) setPriorities() {
	if execution.Nice != 0 {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, execution.Nice)
	}
	if execution.OOMScoreAdjust != 0 {
		value := []byte(strconv.Itoa(execution.OOMScoreAdjust))
		_ = os.WriteFile("/proc/self/oom_score_adj", value, 0o644)
	}
}

// setCredentials drops to the service's user, groups and capabilities. A container that is not started as root
// has them already: then only another user than its own is an error.
func (execution *Execution) setCredentials(privileged bool) error {
	user, group, groups, err := execution.identity(privileged)
	if err != nil {
		return err
	}
	execution.dropBounding()
	change := os.Geteuid() != user.uid || os.Getegid() != group
	if len(execution.Ambient) > 0 && user.uid != 0 {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetKeepCaps, 1, 0); errno != 0 {
			return fmt.Errorf("keeping capabilities: %w", errno)
		}
	}
	if change || os.Geteuid() == 0 {
		if err := syscall.Setgroups(groups); err != nil && (change || !errors.Is(err, syscall.EPERM)) {
			return fmt.Errorf("setting groups %v (it takes the capability SETGID): %w", groups, err)
		}
	}
	if change {
		if err := syscall.Setresgid(group, group, group); err != nil {
			return fmt.Errorf("becoming group %d (it takes the capability SETGID): %w", group, err)
		}
		if err := syscall.Setresuid(user.uid, user.uid, user.uid); err != nil {
			return fmt.Errorf("becoming user %s (it takes the capability SETUID): %w", user.name, err)
		}
	}
	if err := execution.raiseAmbient(); err != nil {
		return err
	}
	if execution.NoNewPrivileges {
		syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0)
	}
	return nil
}

// identity is who the command runs as. Without a user it is who init is.
func (execution *Execution) identity(privileged bool) (user account, group int, groups []int, err error) {
	name := execution.User
	if name == "" || privileged {
		name = strconv.Itoa(os.Geteuid())
	}
	if user, err = findUser(name); err != nil {
		return user, 0, nil, err
	}
	group = user.gid
	if execution.User == "" || privileged {
		group = os.Getegid()
	}
	if execution.Group != "" && !privileged {
		if group, err = findGroup(execution.Group); err != nil {
			return user, 0, nil, err
		}
	}
	groups = groupsOf(user, group)
	for _, name := range execution.Supplementary {
		extra, err := findGroup(name)
		if err != nil {
			return user, 0, nil, err
		}
		groups = append(groups, extra)
	}
	if user.name != "" && user.uid != 0 {
		for key, value := range map[string]string{
			"USER": user.name, "LOGNAME": user.name, "HOME": user.home, "SHELL": user.shell,
		} {
			if _, given := execution.Environment[key]; !given && value != "" {
				os.Setenv(key, value)
			}
		}
	}
	return user, group, groups, nil
}

// dropBounding gives up what the unit's bounding set does not hold, as far as the engine lets us.
func (execution *Execution) dropBounding() {
	if execution.Bounding == nil {
		return
	}
	kept := map[int]bool{}
	for _, name := range execution.Bounding {
		kept[capabilityNumbers[name]] = true
	}
	for _, name := range execution.Ambient {
		kept[capabilityNumbers[name]] = true
	}
	for number := 0; number <= lastCapability(); number++ {
		if !kept[number] {
			syscall.RawSyscall(syscall.SYS_PRCTL, prCapbsetDrop, uintptr(number), 0)
		}
	}
}

func lastCapability() int {
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil || len(text) < 2 {
		return lastCapabilityDefault
	}
	number, err := strconv.Atoi(string(text[:len(text)-1]))
	if err != nil {
		return lastCapabilityDefault
	}
	return number
}

type capabilityHeader struct {
	version uint32
	pid     int32
}

type capabilityData [2]struct{ effective, permitted, inheritable uint32 }

// raiseAmbient hands the ambient capabilities to the service: those of them that the engine gave the container.
func (execution *Execution) raiseAmbient() error {
	if len(execution.Ambient) == 0 {
		return nil
	}
	header := capabilityHeader{version: capabilityVersion3}
	var data capabilityData
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CAPGET, pointer(&header), pointer(&data), 0); errno != 0 {
		return fmt.Errorf("reading capabilities: %w", errno)
	}
	for _, name := range execution.Ambient {
		word, bit := capabilityNumbers[name]/32, uint32(1)<<(capabilityNumbers[name]%32)
		if data[word].permitted&bit == 0 {
			say("the engine did not give %s, which the service is meant to have", name)
			continue
		}
		data[word].inheritable |= bit
		data[word].effective |= bit
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET, pointer(&header), pointer(&data), 0); errno != 0 {
		return fmt.Errorf("setting capabilities: %w", errno)
	}
	for _, name := range execution.Ambient {
		number := uintptr(capabilityNumbers[name])
		syscall.RawSyscall6(syscall.SYS_PRCTL, prCapAmbient, prCapAmbientRaise, number, 0, 0, 0)
	}
	return nil
}

func pointer[T any](value *T) uintptr { return uintptr(unsafe.Pointer(value)) }

func (execution *Execution) enterDirectory() error {
	directory := execution.WorkingDirectory
	switch directory {
	case "":
		directory = "/"
	case "~":
		directory = os.Getenv("HOME")
	}
	err := os.Chdir(filepath.Clean(directory))
	if err != nil && execution.WorkingOptional {
		return os.Chdir("/")
	}
	return err
}
