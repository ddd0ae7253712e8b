package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// The port of a door that is shut is anybody's: whoever has it by chance is waited for.
const (
	portPatience = 5 * time.Second
	portPause    = 50 * time.Millisecond
)

// door is an address at which a server answers and that can be shut: connections then break, and new ones are
// refused, as when a machine is away.
type door struct {
	handler http.Handler
	tls     *tls.Config

	mutex   sync.Mutex
	address string       // host:port; the first opening puts a free port in place of 0
	server  *http.Server // nil while the door is shut
	due     *time.Timer  // opens it again; nil: nothing does
}

// open lets clients in; nothing when the door is open.
func (d *door) open() error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.forgetDue()
	if d.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", d.address)
	for deadline := time.Now().Add(portPatience); err != nil && time.Now().Before(deadline); time.Sleep(portPause) {
		listener, err = net.Listen("tcp", d.address)
	}
	if err != nil {
		return err
	}
	d.address = listener.Addr().String()
	d.server = &http.Server{Handler: d.handler}
	go d.server.Serve(tls.NewListener(listener, d.tls))
	return nil
}

// shut breaks every connection and refuses new ones.
func (d *door) shut() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.forgetDue()
	if d.server != nil {
		d.server.Close()
		d.server = nil
	}
}

// shutFor shuts the door for a time; for none, until it is opened.
func (d *door) shutFor(away time.Duration) {
	d.shut()
	if away == 0 {
		return
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.due = time.AfterFunc(away, func() {
		if err := d.open(); err != nil {
			panic(err) // a test that waits for it must not wait in vain
		}
	})
}

func (d *door) forgetDue() {
	if d.due != nil {
		d.due.Stop()
		d.due = nil
	}
}
