package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// Machines that are away for a while: vCenter itself, or an ESXi host with the disks it is giving.

// outage is how long a machine is away.
type outage struct {
	Host    string  `json:"host"`    // name of an ESXi host; empty: vCenter
	Seconds float64 `json:"seconds"` // 0: until outages are ended
}

func (vc *vcenter) outages(mux *http.ServeMux) {
	mux.HandleFunc("POST /outages", accept(vc.begin))
	mux.HandleFunc("DELETE /outages", func(w http.ResponseWriter, _ *http.Request) {
		for _, d := range append(vc.hosts.all(), vc.api) {
			if err := d.open(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}
	})
}

func (vc *vcenter) begin(o outage) error {
	if o.Host == "" {
		vc.restart(o.Seconds)
		return nil
	}
	for _, entity := range vc.ctx.Map.All("HostSystem") {
		if entity.(*simulator.HostSystem).Name == o.Host {
			d, err := vc.hostDoor(entity.Reference())
			if err == nil {
				d.shutFor(seconds(o.Seconds))
			}
			return err
		}
	}
	return fmt.Errorf("no host %q", o.Host)
}

// restart is what the others see when vCenter's service restarts: the inventory is the same afterwards, hosts go
// on with the tasks they have begun, and whatever lived in the service is gone.
func (vc *vcenter) restart(away float64) {
	vc.api.shut()
	vc.endSessions() // views, filters and lease objects live in a session
	vc.leases.endAll()
	vc.forgetTasks()
	vc.api.shutFor(seconds(away))
}

// forgetTasks makes every task of ours unknown to clients, wherever it is named; the work goes on.
func (vc *vcenter) forgetTasks() {
	for _, task := range vc.tasks.takeAll() {
		vc.ctx.Map.Remove(vc.ctx, task)
	}
	none := []types.PropertyChange{{Name: "recentTask", Val: []types.ManagedObjectReference{}}}
	for _, vm := range vc.machines() {
		ctx := *vc.ctx
		ctx.WithLock(vm, func() { ctx.Update(vm, none) })
	}
}

// taskBook remembers the tasks that clients may know.
type taskBook struct {
	mutex sync.Mutex
	tasks []types.ManagedObjectReference
}

func (b *taskBook) add(task types.ManagedObjectReference) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.tasks = append(b.tasks, task)
}

func (b *taskBook) takeAll() []types.ManagedObjectReference {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	taken := b.tasks
	b.tasks = nil
	return taken
}

// hostDoors are where ESXi hosts give disks, by the host's moref; each is made when it is first needed.
type hostDoors struct {
	mutex sync.Mutex
	doors map[string]*door
}

func (h *hostDoors) all() []*door {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	var doors []*door
	for _, d := range h.doors {
		doors = append(doors, d)
	}
	return doors
}

// hostDoor gives the host's, on vCenter's address and a port of its own.
func (vc *vcenter) hostDoor(host types.ManagedObjectReference) (*door, error) {
	vc.hosts.mutex.Lock()
	defer vc.hosts.mutex.Unlock()
	if d, ok := vc.hosts.doors[host.Value]; ok {
		return d, nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /nfc/{token}/{name}", vc.serveDownload)
	name, _, err := net.SplitHostPort(vc.api.address)
	if err != nil {
		return nil, err
	}
	d := &door{handler: mux, tls: vc.api.tls, address: net.JoinHostPort(name, "0")}
	if err := d.open(); err != nil {
		return nil, err
	}
	if vc.hosts.doors == nil {
		vc.hosts.doors = map[string]*door{}
	}
	vc.hosts.doors[host.Value] = d
	return d, nil
}
