package main

import (
	"bytes"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// pollInterval is how often what the kernel does not announce is looked at: PID files, others' children.
const pollInterval = 50 * time.Millisecond

// children reaps every process that ends below this one, and tells who waits for it.
type children struct {
	lock    sync.Mutex
	waiting map[int]chan syscall.WaitStatus
	ended   map[int]syscall.WaitStatus
}

func newChildren() *children {
	all := &children{waiting: map[int]chan syscall.WaitStatus{}, ended: map[int]syscall.WaitStatus{}}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGCHLD)
	go func() {
		for range ends {
			all.reap()
		}
	}()
	return all
}

func (all *children) reap() {
	all.lock.Lock()
	defer all.lock.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if waiter, known := all.waiting[pid]; known {
			waiter <- status
			delete(all.waiting, pid)
		}
		if len(all.ended) >= 4096 {
			clear(all.ended)
		}
		all.ended[pid] = status
	}
}

// start starts a process; its status arrives once on the channel. The lock keeps the reaper from taking a child
// that nobody waits for yet.
func (all *children) start(words []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	all.lock.Lock()
	defer all.lock.Unlock()
	pid, err := syscall.ForkExec("/proc/self/exe", words, attr)
	if err != nil {
		return 0, nil, err
	}
	delete(all.ended, pid)
	waiter := make(chan syscall.WaitStatus, 1)
	all.waiting[pid] = waiter
	return pid, waiter, nil
}

// watch waits for a process that somebody else started. Of one that is not our child nobody learns the status:
// it counts as having ended well.
func (all *children) watch(pid int) <-chan syscall.WaitStatus {
	all.lock.Lock()
	defer all.lock.Unlock()
	waiter := make(chan syscall.WaitStatus, 1)
	// A number may have been another process's before: what lives has not ended.
	if status, known := all.ended[pid]; known && !isAlive(pid) {
		waiter <- status
		return waiter
	}
	if existing, known := all.waiting[pid]; known {
		return existing
	}
	all.waiting[pid] = waiter
	go func() {
		for isAlive(pid) {
			time.Sleep(pollInterval)
		}
		time.Sleep(pollInterval) // if it is our child after all, the reaper has its status now
		all.lock.Lock()
		defer all.lock.Unlock()
		if all.waiting[pid] == waiter {
			delete(all.waiting, pid)
			waiter <- 0
		}
	}()
	return waiter
}

// process is one line of /proc.
type process struct {
	pid, parent int
	zombie      bool
}

// descendants lists the living processes below this one, parents before children.
func descendants() []process {
	byParent := map[int][]process{}
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if found, ok := look(pid); ok && !found.zombie {
				byParent[found.parent] = append(byParent[found.parent], found)
			}
		}
	}
	all := byParent[os.Getpid()]
	for index := 0; index < len(all); index++ {
		all = append(all, byParent[all[index].pid]...)
	}
	return all
}

// look reads what the kernel says of a process (proc_pid_stat(5)).
func look(pid int) (process, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	end := bytes.LastIndexByte(text, ')')
	if err != nil || end < 0 {
		return process{}, false
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) < 2 {
		return process{}, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return process{pid, parent, fields[0][0] == 'Z' || fields[0][0] == 'X'}, err == nil
}

func isAlive(pid int) bool {
	found, ok := look(pid)
	return ok && !found.zombie
}

// readPIDFile gives the process that a PID file names, if it lives.
func readPIDFile(path string) (int, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text)
	if len(fields) == 0 {
		return 0, false
	}
	pid, err := strconv.Atoi(string(fields[0]))
	return pid, err == nil && pid > 1 && pid != os.Getpid() && isAlive(pid)
}
