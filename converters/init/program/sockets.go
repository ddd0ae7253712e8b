package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	soReusePort = 15
	ipFreeBind  = 15
)

// opened is one socket that is handed to the service.
type opened struct {
	fd   int
	spec Socket
}

// openSockets opens the sockets of the service's socket units; an address that cannot be had ends the start.
func openSockets(sockets []Socket) ([]opened, error) {
	var all []opened
	for _, socket := range sockets {
		fd, err := socket.open()
		if err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w", socket.Address, err)
		}
		all = append(all, opened{fd, socket})
	}
	return all, nil
}

func (socket Socket) open() (int, error) {
	if socket.Kind == "fifo" {
		return socket.openFIFO()
	}
	kind := map[string]int{
		"stream": syscall.SOCK_STREAM, "datagram": syscall.SOCK_DGRAM, "sequential": syscall.SOCK_SEQPACKET,
	}[socket.Kind]
	family, address, err := socket.address()
	if err != nil {
		return 0, err
	}
	fd, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := socket.bind(fd, family, kind, address); err != nil {
		syscall.Close(fd)
		return 0, err
	}
	return fd, nil
}

func (socket Socket) bind(fd, family, kind int, address syscall.Sockaddr) error {
	if family != syscall.AF_UNIX {
		socket.setOptions(fd, family)
	} else if err := socket.clearPath(); err != nil {
		return err
	}
	before := syscall.Umask(0o777 &^ int(socket.mode()))
	err := syscall.Bind(fd, address)
	syscall.Umask(before)
	if err != nil {
		return err
	}
	if strings.HasPrefix(socket.Address, "/") {
		if err := chown(socket.Address, socket.User, socket.Group); err != nil {
			return err
		}
	}
	if kind == syscall.SOCK_DGRAM {
		return nil
	}
	backlog := socket.Backlog
	if backlog <= 0 {
		backlog = syscall.SOMAXCONN
	}
	return syscall.Listen(fd, backlog)
}

func (socket Socket) setOptions(fd, family int) {
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if family == syscall.AF_INET6 {
		only := 0
		if socket.IPv6Only == "ipv6-only" {
			only = 1
		}
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, only)
	}
	if socket.ReusePort {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soReusePort, 1)
	}
	if socket.FreeBind {
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipFreeBind, 1)
	}
}

// clearPath removes what an earlier run left at the path of a Unix socket.
func (socket Socket) clearPath() error {
	if !strings.HasPrefix(socket.Address, "/") {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(socket.Address), 0o755); err != nil {
		return err
	}
	if found, err := os.Lstat(socket.Address); err == nil && found.Mode()&os.ModeSocket != 0 {
		return os.Remove(socket.Address)
	}
	return nil
}

func (socket Socket) mode() uint32 {
	mode, err := octal(socket.Mode, 0o666)
	if err != nil {
		return 0o600
	}
	return mode
}

func (socket Socket) openFIFO() (int, error) {
	if err := os.MkdirAll(filepath.Dir(socket.Address), 0o755); err != nil {
		return 0, err
	}
	if err := syscall.Mkfifo(socket.Address, socket.mode()); err != nil && err != syscall.EEXIST {
		return 0, err
	}
	if err := chown(socket.Address, socket.User, socket.Group); err != nil {
		return 0, err
	}
	return syscall.Open(socket.Address, syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
}

// address turns an address of a socket unit into the kernel's form. A port alone is every address of both
// families, where the kernel has IPv6 (systemd.socket(5), ListenStream=).
func (socket Socket) address() (family int, address syscall.Sockaddr, err error) {
	text := socket.Address
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "@") {
		return syscall.AF_UNIX, &syscall.SockaddrUnix{Name: text}, nil
	}
	if port, err := strconv.ParseUint(text, 10, 16); err == nil {
		if !hasIPv6() {
			return syscall.AF_INET, &syscall.SockaddrInet4{Port: int(port)}, nil
		}
		return syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(port)}, nil
	}
	parsed, err := netip.ParseAddrPort(text)
	if err != nil {
		return 0, nil, fmt.Errorf("%q is no address: %w", text, err)
	}
	if parsed.Addr().Is4() {
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: int(parsed.Port()), Addr: parsed.Addr().As4()}, nil
	}
	return syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(parsed.Port()), Addr: parsed.Addr().As16()}, nil
}

func hasIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}
