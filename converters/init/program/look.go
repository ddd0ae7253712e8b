package main

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	mostAnswer = 64 << 10
	// What comes in pieces comes quickly, once it has begun.
	pause = 300 * time.Millisecond
)

// Socket states of /proc/net (include/net/tcp_states.h): UDP sockets that are not connected are "closed".
var listening = []struct{ file, protocol, state string }{
	{"tcp", "tcp", "0A"}, {"tcp6", "tcp", "0A"}, {"udp", "udp", "07"}, {"udp6", "udp", "07"},
}

// hold keeps a container at hand until somebody ends it.
func hold() int {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
	return 0
}

// sockets prints every listening socket of this network name space, a line each: protocol and address.
func sockets() int {
	for _, kind := range listening {
		// Without IPv6 the kernel has no such file.
		table, err := os.ReadFile("/proc/self/net/" + kind.file)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(table), "\n") {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != kind.state {
				continue
			}
			if address, ok := socketAddress(fields[1]); ok {
				fmt.Println(kind.protocol, address)
			}
		}
	}
	return 0
}

// socketAddress reads `0100007F:0050`: 32-bit words in the machine's order, which is little-endian on all of ours.
func socketAddress(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, failed := strconv.ParseUint(port, 16, 16)
	if err != nil || failed != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for at := 0; at < len(raw); at += 4 {
		raw[at], raw[at+1], raw[at+2], raw[at+3] = raw[at+3], raw[at+2], raw[at+1], raw[at]
	}
	address, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(address, uint16(number)), ok
}

// ask connects, sends what HEX says and prints what is answered until a pause; 1 when nobody answers in time.
func ask(protocol, address, seconds, said string) int {
	target, err := netip.ParseAddrPort(address)
	patience, failed := strconv.ParseFloat(seconds, 64)
	words, broken := hex.DecodeString(said)
	if err != nil || failed != nil || broken != nil || (protocol != "tcp" && protocol != "udp") {
		say("usage: init --ask tcp|udp ADDRESS:PORT SECONDS HEX")
		return exitUsage
	}
	socket, err := connect(protocol, target, time.Duration(patience*float64(time.Second)))
	if err != nil {
		say("%s %s: %v", protocol, address, err)
		return 1
	}
	defer syscall.Close(socket)
	if len(words) > 0 {
		if err := syscall.Sendto(socket, words, syscall.MSG_NOSIGNAL, nil); err != nil {
			say("%s %s: %v", protocol, address, err)
			return 1
		}
	}
	answer := hear(socket, protocol)
	os.Stdout.Write(answer)
	if protocol == "udp" && len(answer) == 0 {
		say("%s %s: no answer", protocol, address)
		return 1
	}
	return 0
}

// connect gives a socket whose calls end in time.
func connect(protocol string, target netip.AddrPort, patience time.Duration) (int, error) {
	family, kind := syscall.AF_INET, syscall.SOCK_STREAM
	var address syscall.Sockaddr
	if host := target.Addr().Unmap(); host.Is4() {
		address = &syscall.SockaddrInet4{Port: int(target.Port()), Addr: host.As4()}
	} else {
		family, address = syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(target.Port()), Addr: host.As16()}
	}
	if protocol == "udp" {
		kind = syscall.SOCK_DGRAM
	}
	socket, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	limit(socket, syscall.SO_SNDTIMEO, patience)
	limit(socket, syscall.SO_RCVTIMEO, patience)
	if err := syscall.Connect(socket, address); err != nil {
		syscall.Close(socket)
		return 0, err
	}
	return socket, nil
}

func hear(socket int, protocol string) []byte {
	var answer []byte
	buffer := make([]byte, mostAnswer)
	for len(answer) < mostAnswer {
		count, err := syscall.Read(socket, buffer)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || count <= 0 {
			break
		}
		answer = append(answer, buffer[:count]...)
		if protocol == "udp" {
			break
		}
		limit(socket, syscall.SO_RCVTIMEO, pause)
	}
	return answer
}

func limit(socket, option int, patience time.Duration) {
	value := syscall.NsecToTimeval(patience.Nanoseconds())
	// A socket without a limit still ends with the caller's patience: the engine's command is bounded.
	_ = syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, option, &value)
}
