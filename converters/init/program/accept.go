package main

import (
	"syscall"
	"time"
)

// defaultConnections is how many connections are served at once (systemd.socket(5), MaxConnections=).
const defaultConnections = 64

// accepts is whether each connection starts the command anew, as inetd did.
func (s *supervisor) accepts() bool {
	for _, socket := range s.sockets {
		if socket.spec.Accept {
			return true
		}
	}
	return false
}

// serveConnections accepts until somebody wants it to end.
func (s *supervisor) serveConnections() *result {
	for _, socket := range s.sockets {
		if socket.spec.Accept {
			go s.serve(socket)
		}
	}
	<-s.stop
	return &result{asked: true}
}

func (s *supervisor) serve(socket opened) {
	most := socket.spec.MaxConnections
	if most <= 0 {
		most = defaultConnections
	}
	places := make(chan struct{}, most)
	for {
		places <- struct{}{}
		connection, _, err := syscall.Accept4(socket.fd, syscall.SOCK_CLOEXEC)
		if err != nil {
			<-places
			if err != syscall.EINTR && err != syscall.ECONNABORTED {
				say("cannot accept on %s: %v", socket.spec.Address, err)
				time.Sleep(time.Second)
			}
			continue
		}
		go func() {
			defer func() { <-places }()
			s.serveOne(connection, socket.spec)
		}()
	}
}

// serveOne runs the command for one connection: as its standard input and output, or as a socket handed to it.
func (s *supervisor) serveOne(connection int, spec Socket) {
	defer syscall.Close(connection)
	given := files{input: connection, output: connection}
	if s.spec.Execution.StandardInput != "socket" {
		given = s.standard()
		defer given.close()
		given.sockets = []opened{{connection, Socket{Name: "connection"}}}
	}
	_, ended, err := s.spawn(s.spec.Start[0], nil, given)
	if err != nil {
		say("cannot start %s for a connection on %s: %v", s.spec.Start[0].Words[0], spec.Address, err)
		return
	}
	<-ended
}
