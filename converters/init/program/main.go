// Command init runs one service of a converted machine as the first process of its container.
//
//	init SPECIFICATION      run the service that the file describes (see spec.go)
//	init SPECIFICATION SPECIFICATION…
//	                        run several, each by an init of its own below this one
//	init --listens 80/tcp   succeed if something listens at that port of the container's network
//	init --answers 80 /path succeed if an HTTP request to that port is answered by 2xx or 3xx
//	init --version          print the version of the specification it understands
//	init --sockets          print the listening sockets of this network name space
//	init --ask tcp|udp ADDRESS:PORT SECONDS HEX
//	                        print what somebody answers to these bytes
//	init --hold             do nothing until it is ended
//
// It does what systemd did around the service and an OCI configuration cannot say: makes /run, opens sockets,
// answers /dev/log, runs the commands before and after, drops to the service's user, follows a daemon that
// forks, reaps, and turns a request to stop into the service's own way of stopping. Its exit status is the
// main process's; 78 (EX_CONFIG) for a specification that it does not understand.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

const (
	exitUsage  = 64
	exitConfig = 78
)

// The second stage changes the credentials of the one thread that calls exec, so main must stay on its thread.
func init() { runtime.LockOSThread() }

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "--version":
		fmt.Println(specVersion)
	case len(os.Args) == 2 && os.Args[1] == "--sockets":
		os.Exit(sockets())
	case len(os.Args) == 6 && os.Args[1] == "--ask":
		os.Exit(ask(os.Args[2], os.Args[3], os.Args[4], os.Args[5]))
	case len(os.Args) == 2 && os.Args[1] == "--hold":
		os.Exit(hold())
	case len(os.Args) == 3 && os.Args[1] == becomeOption:
		become(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "--listens":
		if !listens(os.Args[2]) {
			os.Exit(1)
		}
	case len(os.Args) == 4 && os.Args[1] == "--answers":
		if !answers(os.Args[2], os.Args[3]) {
			os.Exit(1)
		}
	case len(os.Args) == 2:
		os.Exit(run(os.Args[1]))
	case len(os.Args) > 2 && strings.HasPrefix(os.Args[1], "/"):
		os.Exit(runGroup(os.Args[1:]))
	default:
		say("usage: init SPECIFICATION…")
		os.Exit(exitUsage)
	}
}

func run(path string) int {
	spec, err := load(path)
	if err != nil {
		say("%v", err)
		return exitConfig
	}
	return newSupervisor(spec).run()
}

// say tells one thing on standard error, where a container's log is.
func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "init: "+format+"\n", values...)
}
