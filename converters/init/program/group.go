package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	restartAfter    = time.Second
	restartAtMost   = time.Minute
	settledDuration = time.Minute
)

// group runs the services of a whole machine in one container, each by an init of its own below this one.
type group struct {
	children *children
	stop     chan struct{}
	stopOnce sync.Once

	lock    sync.Mutex
	running map[string]int
}

// runGroup runs the services of several specifications until somebody wants them to end. One that ends is started
// again, after a while that grows; as long as it lives the others are left alone.
func runGroup(paths []string) int {
	specs := map[string]*Spec{}
	for _, path := range paths {
		spec, err := load(path)
		if err != nil {
			say("%v", err)
			return exitConfig
		}
		specs[path] = spec
	}
	all := &group{children: newChildren(), stop: make(chan struct{}), running: map[string]int{}}
	all.listenForSignals()
	answerLog()
	var members sync.WaitGroup
	for _, path := range paths {
		members.Add(1)
		go func() {
			defer members.Done()
			all.keep(path, specs[path])
		}()
	}
	members.Wait()
	return 0
}

// keep starts a service, and starts it again when it has ended, until the group is to end. What is meant to end,
// and did so well, is done.
func (all *group) keep(path string, spec *Spec) {
	delay := restartAfter
	for {
		began := time.Now()
		ended, started := all.begin(path)
		if started {
			status := <-ended
			all.forget(path)
			if all.ends() || spec.Type == "oneshot" && status == 0 {
				return
			}
			say("%s ended with %s", spec.Service, describe(status))
		}
		if time.Since(began) > settledDuration {
			delay = restartAfter
		}
		select {
		case <-all.stop:
			return
		case <-time.After(delay):
			say("%s is started again", spec.Service)
		}
		delay = min(2*delay, restartAtMost)
	}
}

// begin starts a service's init, unless the group is to end.
func (all *group) begin(path string) (<-chan syscall.WaitStatus, bool) {
	all.lock.Lock()
	defer all.lock.Unlock()
	if all.ends() {
		return nil, false
	}
	attributes := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}}
	pid, ended, err := all.children.start([]string{"init", path}, attributes)
	if err != nil {
		say("cannot start the init of %s: %v", path, err)
		return nil, false
	}
	all.running[path] = pid
	return ended, true
}

func (all *group) forget(path string) {
	all.lock.Lock()
	defer all.lock.Unlock()
	delete(all.running, path)
}

func (all *group) ends() bool {
	select {
	case <-all.stop:
		return true
	default:
		return false
	}
}

// listenForSignals hands requests to stop and to reload to every service.
func (all *group) listenForSignals() {
	arriving := make(chan os.Signal, 16)
	signal.Notify(arriving, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		for arrived := range arriving {
			number := arrived.(syscall.Signal)
			all.lock.Lock()
			if number != syscall.SIGHUP {
				all.stopOnce.Do(func() { close(all.stop) })
				number = syscall.SIGTERM
			}
			for _, pid := range all.running {
				_ = syscall.Kill(pid, number)
			}
			all.lock.Unlock()
		}
	}()
}
