// Command simulator is a vCenter for the demo and the tests: govmomi's simulator with real disks behind its
// export leases, enforced lease time-outs, and a control endpoint that makes things go wrong on purpose.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator" // tags: /rest/com/vmware/cis/…
)

// 10,000 VMs stay near half a gigabyte when the collector works towards this.
const memoryLimit = 600 << 20

type options struct {
	home, fleet, cert, key, user, passwordFile, listen string
}

// When the process that started us ends, however it ends, we end in an orderly way. The signal belongs to the
// main thread, on which init runs.
func init() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0)
}

func main() {
	var o options
	flag.StringVar(&o.home, "home", "", "`folder` for datastores and temporary files, removed at the end")
	flag.StringVar(&o.fleet, "fleet", "", "JSON `file` that describes the inventory")
	flag.StringVar(&o.cert, "cert", "", "PEM `file` with the server's certificate chain")
	flag.StringVar(&o.key, "key", "", "PEM `file` with the server's private key")
	flag.StringVar(&o.user, "user", "administrator@vsphere.local", "`name` that may log in")
	flag.StringVar(&o.passwordFile, "password-file", "", "`file` that holds the password")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` of the vCenter API")
	flag.Parse()
	debug.SetMemoryLimit(memoryLimit)
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	defer os.RemoveAll(o.home)
	if err := os.Setenv("TMPDIR", o.home); err != nil { // the simulator keeps a folder there
		return err
	}
	fleet, err := readFleet(o.fleet)
	if err != nil {
		return err
	}
	password, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return err
	}
	model, err := newModel()
	if err != nil {
		return err
	}
	vc, err := newVCenter(model, fleet, filepath.Join(o.home, "datastores"))
	if err != nil {
		return err
	}
	address, err := vc.serve(o.listen, url.UserPassword(o.user, strings.TrimSpace(string(password))), certificate)
	if err != nil {
		return err
	}
	defer vc.api.shut()

	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer control.Close()
	go http.Serve(control, vc.control())

	ready := map[string]string{
		"url":        address.String(),
		"control":    "http://" + control.Addr().String(),
		"thumbprint": vc.thumbprint,
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	<-stop
	return nil
}

func newModel() (*simulator.Model, error) {
	model := simulator.VPX()
	model.Datacenter, model.Datastore, model.Machine = 0, 0, 0
	// With the model's own 6.5, pyvmomi hides what came later (lease.mode and others).
	about := &model.ServiceContent.About
	about.ApiVersion, about.Version = "8.0.3.0", "8.0.3"
	about.FullName = "VMware vCenter Server 8.0.3 (simulator)"
	return model, model.Create()
}
