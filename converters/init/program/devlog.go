package main

import (
	"bytes"
	"os"
	"syscall"
)

const logPath = "/dev/log"

// answerLog answers /dev/log as the guest's journal did, and writes each message to standard error without its
// priority. A container whose /dev/log leads elsewhere, or that may not make one, keeps what it has.
func answerLog() {
	if found, err := os.Stat(logPath); err == nil && found.Mode()&os.ModeSocket == 0 {
		return
	} else if err == nil || isSymlink(logPath) {
		if err := os.Remove(logPath); err != nil {
			return
		}
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	before := syscall.Umask(0)
	err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: logPath})
	syscall.Umask(before)
	if err != nil {
		syscall.Close(fd)
		say("cannot answer %s, so messages to syslog are lost: %v", logPath, err)
		return
	}
	go copyMessages(fd)
}

func copyMessages(fd int) {
	buffer := make([]byte, 64<<10)
	for {
		size, _, err := syscall.Recvfrom(fd, buffer, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return
		}
		message := bytes.TrimRight(buffer[:size], "\x00\n")
		if bytes.HasPrefix(message, []byte("<")) {
			if end := bytes.IndexByte(message, '>'); end > 0 && end < 6 {
				message = message[end+1:]
			}
		}
		os.Stderr.Write(append(message, '\n'))
	}
}

func isSymlink(path string) bool {
	found, err := os.Lstat(path)
	return err == nil && found.Mode()&os.ModeSymlink != 0
}
