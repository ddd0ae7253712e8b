package main

import (
	"syscall"
	"time"
)

// follow waits until the service ends by itself or somebody wants it to.
func (s *supervisor) follow() *result {
	for {
		var moved chan int
		if s.heard != nil {
			moved = s.heard.main
		}
		select {
		case status := <-s.mainEnd():
			if s.replaced() {
				continue
			}
			return &result{status: status}
		case pid := <-moved:
			s.setMain(pid)
		case <-s.stop:
			return &result{asked: true}
		}
	}
}

// mainEnd gives the main process's status when it ends; without one, of several, when the last has ended.
func (s *supervisor) mainEnd() <-chan syscall.WaitStatus {
	if pid := s.main(); pid > 0 {
		return s.children.watch(pid)
	}
	ended := make(chan syscall.WaitStatus, 1)
	go func() {
		for len(descendants()) > 0 {
			time.Sleep(pollInterval)
		}
		ended <- 0
	}()
	return ended
}

// replaced is whether a daemon that ended has put another in its place, as its PID file says (an upgrade of
// nginx in place does so).
func (s *supervisor) replaced() bool {
	if s.spec.PIDFile == "" {
		return false
	}
	pid, alive := readPIDFile(s.spec.PIDFile)
	if !alive || pid == s.main() {
		return false
	}
	s.setMain(pid)
	return true
}

// end stops what still runs, by the service's own way first, and leaves no process behind.
func (s *supervisor) end(how *result) {
	bounds := within(s.spec.StopSeconds)
	wasUp := s.main() > 0
	var ended <-chan syscall.WaitStatus
	if how.asked && wasUp {
		ended = s.children.watch(s.main())
	}
	if wasUp && (how.asked || how.exit == 0 && how.status == 0) {
		s.runAll(s.spec.Stop, s.mainEnvironment(), bounds)
	}
	s.signalAll(signalNumber(s.spec.KillSignal))
	ended, gone := s.wait(ended, how, bounds)
	if !gone {
		say("%s does not end and is killed", s.spec.Service)
	}
	if !gone || s.spec.KillMode == "mixed" {
		s.kill(ended, how)
	}
	s.runAll(s.spec.StopPost, nil, within(s.spec.StopSeconds))
}

// signalAll tells the processes that the kill mode names to end.
func (s *supervisor) signalAll(number syscall.Signal) {
	var targets []int
	switch s.spec.KillMode {
	case "none":
	case "process", "mixed":
		if pid := s.main(); pid > 0 {
			targets = []int{pid}
		}
	default:
		for _, process := range descendants() {
			targets = append(targets, process.pid)
		}
	}
	for _, pid := range targets {
		_ = syscall.Kill(pid, number)
		// A stopped process would not hear it.
		_ = syscall.Kill(pid, syscall.SIGCONT)
		if s.spec.SendHUP {
			_ = syscall.Kill(pid, syscall.SIGHUP)
		}
	}
}

// wait waits until no process is left; in the modes that spare the others, only for the main one. It gives the
// channel of the main process's status, unless that has arrived, and whether they are gone.
func (s *supervisor) wait(
	ended <-chan syscall.WaitStatus, how *result, bounds bounds,
) (<-chan syscall.WaitStatus, bool) {
	late := bounds.timer()
	for {
		select {
		case how.status = <-ended:
			ended = nil
		default:
		}
		if ended == nil && (len(descendants()) == 0 || s.spec.KillMode != "control-group") {
			return nil, true
		}
		select {
		case <-late:
			return ended, false
		case <-time.After(pollInterval):
		}
	}
}

// killRounds is how often what is left is told to end; what the kernel holds longer ends with the container.
const killRounds = 100

// kill ends everything that is left at once: by the service's own last signal, then by one that none survives.
func (s *supervisor) kill(ended <-chan syscall.WaitStatus, how *result) {
	number := signalNumber(s.spec.FinalSignal)
	for range killRounds {
		left := descendants()
		if len(left) == 0 {
			break
		}
		for _, process := range left {
			_ = syscall.Kill(process.pid, number)
		}
		time.Sleep(pollInterval)
		number = syscall.SIGKILL
	}
	select {
	case how.status = <-ended:
	case <-time.After(pollInterval):
	}
}
