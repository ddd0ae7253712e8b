package main

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"syscall"
)

// notifications is the socket that a service of type notify reports to (sd_notify(3)). Its name is random in
// the abstract name space: containers that share a network or a /run do not hear each other's services.
type notifications struct {
	name  string
	ready chan struct{}
	main  chan int
}

func listenForNotifications() (*notifications, error) {
	random := make([]byte, 12)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	name := "@orchestrate-init-" + hex.EncodeToString(random)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: name}); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	heard := &notifications{name: name, ready: make(chan struct{}), main: make(chan int, 1)}
	go heard.listen(fd)
	return heard, nil
}

func (heard *notifications) listen(fd int) {
	buffer := make([]byte, 16<<10)
	wasReady := false
	for {
		size, _, err := syscall.Recvfrom(fd, buffer, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return
		}
		for _, line := range strings.Split(string(buffer[:size]), "\n") {
			name, value, _ := strings.Cut(line, "=")
			switch {
			case name == "READY" && value == "1" && !wasReady:
				wasReady = true
				close(heard.ready)
			case name == "MAINPID":
				if pid, err := strconv.Atoi(value); err == nil && pid > 1 {
					select {
					case heard.main <- pid:
					default:
					}
				}
			case name == "STATUS" && value != "":
				say("status: %s", value)
			}
		}
	}
}
