package main

import (
	"strconv"
	"strings"
	"syscall"
)

// answerSeconds is how long the kernel waits for each step of an answer.
const answerSeconds = 5

// answers is whether a request for a path is answered by 2xx or 3xx at a port of the container's own network
// (HTTP/1.0, RFC 1945: one request a connection).
func answers(port, path string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \r\n") {
		say("%q %q is no port and path, as 80 /health", port, path)
		return false
	}
	status, err := request(int(number), path)
	if err != nil {
		say("port %s does not answer: %v", port, err)
		return false
	}
	fields := strings.Fields(status)
	return len(fields) > 1 && strings.HasPrefix(fields[0], "HTTP/") && len(fields[1]) == 3 &&
		(fields[1][0] == '2' || fields[1][0] == '3')
}

// request gives the beginning of the answer.
func request(port int, path string) (string, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	patience := syscall.Timeval{Sec: answerSeconds}
	for _, option := range []int{syscall.SO_SNDTIMEO, syscall.SO_RCVTIMEO} {
		if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, option, &patience); err != nil {
			return "", err
		}
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", err
	}
	if _, err := syscall.Write(fd, []byte("GET "+path+" HTTP/1.0\r\nHost: localhost\r\n\r\n")); err != nil {
		return "", err
	}
	begin := make([]byte, 64)
	size := 0
	for size < len("HTTP/1.0 200") {
		more, err := syscall.Read(fd, begin[size:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || more == 0 {
			return string(begin[:size]), err
		}
		size += more
	}
	return string(begin[:size]), nil
}
