package main

import (
	"bytes"
	"os"
	"strconv"
)

// States of a socket that waits for others, as /proc/net shows them (proc_net(5)): TCP_LISTEN, and for UDP a
// socket that is bound and connected to nobody (TCP_CLOSE).
var waitingStates = map[string]string{"tcp": "0A", "udp": "07"}

// listens is whether something listens at a port, "80/tcp", of the container's network. It asks the kernel and
// connects to nothing: daemons count connections without a log-in as failures, and some then refuse the caller.
func listens(port string) bool {
	number, protocol, _ := bytes.Cut([]byte(port), []byte("/"))
	wanted, err := strconv.ParseUint(string(number), 10, 16)
	state, known := waitingStates[string(protocol)]
	if err != nil || !known {
		say("%q is no port, as 80/tcp", port)
		return false
	}
	for _, version := range []string{"", "6"} {
		table, err := os.ReadFile("/proc/net/" + string(protocol) + version)
		if err == nil && waits(table, wanted, state) {
			return true
		}
	}
	return false
}

// waits looks through a table of /proc/net for a socket in a state at a port.
func waits(table []byte, port uint64, state string) bool {
	for _, line := range bytes.Split(table, []byte("\n")) {
		// number, local address, remote address, state
		fields := bytes.Fields(line)
		if len(fields) < 4 || string(fields[3]) != state {
			continue
		}
		colon := bytes.LastIndexByte(fields[1], ':')
		found, err := strconv.ParseUint(string(fields[1][colon+1:]), 16, 32)
		if err == nil && found == port {
			return true
		}
	}
	return false
}
