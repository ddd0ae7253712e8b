package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// What happens around a VM while others work on the same vCenter, where the API alone cannot bring it about.

// occupation is a vSphere task of somebody else that is at work on a VM.
type occupation struct {
	VM      string `json:"vm"`
	Task    string `json:"task"` // as vCenter describes it: relocate
	Seconds int64  `json:"seconds"`
}

// hostChange is what becomes of an ESXi host; what is left out stays.
type hostChange struct {
	Host       string `json:"host"`
	Connection string `json:"connection"` // connected, disconnected, notResponding
}

// datastoreChange is what becomes of a datastore.
type datastoreChange struct {
	Datastore string `json:"datastore"`
	Free      int64  `json:"free"` // bytes
}

// linkedClone gives a VM's first disk a parent: a disk of another VM, from which it was cloned.
type linkedClone struct {
	VM     string `json:"vm"`
	Parent string `json:"parent"` // [datastore] folder/name.vmdk
}

// mount puts an ISO image of another datastore into a VM's drive, so that vCenter lists that one, too, as the VM's.
type mount struct {
	VM        string `json:"vm"`
	Datastore string `json:"datastore"`
}

func (vc *vcenter) moves(mux *http.ServeMux) {
	mux.HandleFunc("POST /occupations", accept(vc.occupy))
	mux.HandleFunc("PATCH /hosts", accept(vc.changeHost))
	mux.HandleFunc("PATCH /datastores", accept(vc.changeDatastore))
	mux.HandleFunc("POST /linked-clones", accept(vc.link))
	mux.HandleFunc("POST /mounts", accept(vc.mount))
}

func (vc *vcenter) occupy(o occupation) error {
	vm := vc.machine(o.VM)
	if vm == nil {
		return fmt.Errorf("no VM %q", o.VM)
	}
	stand := lockFree{types.ManagedObjectReference{Type: vm.Self.Type, Value: vm.Self.Value + "/" + o.Task}}
	task := simulator.CreateTask(stand, o.Task, func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		time.Sleep(time.Duration(o.Seconds) * time.Second)
		return nil, nil
	})
	ctx := *vc.ctx
	ref := task.Run(&ctx)
	ctx.WithLock(vm, func() {
		ctx.Update(vm, []types.PropertyChange{{Name: "recentTask", Val: append(vm.RecentTask, ref)}})
	})
	return nil
}

// changeHost is about every host of that name: datacenters may repeat one.
func (vc *vcenter) changeHost(change hostChange) error {
	ctx, known := *vc.ctx, false
	state := types.VirtualMachineConnectionStateConnected
	if change.Connection != string(types.HostSystemConnectionStateConnected) {
		state = types.VirtualMachineConnectionStateDisconnected
	}
	for _, entity := range vc.ctx.Map.All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		if host.Name != change.Host {
			continue
		}
		known = true
		ctx.WithLock(host, func() {
			ctx.Update(host, []types.PropertyChange{
				{Name: "runtime.connectionState", Val: types.HostSystemConnectionState(change.Connection)},
			})
		})
		for _, vm := range vc.machines() {
			if *vm.Runtime.Host == host.Self {
				ctx.WithLock(vm, func() {
					ctx.Update(vm, []types.PropertyChange{{Name: "runtime.connectionState", Val: state}})
				})
			}
		}
	}
	if !known {
		return fmt.Errorf("no host %q", change.Host)
	}
	return nil
}

// changeDatastore is about every datastore of that name, likewise.
func (vc *vcenter) changeDatastore(change datastoreChange) error {
	ctx, known := *vc.ctx, false
	for _, entity := range vc.ctx.Map.All("Datastore") {
		store := entity.(*simulator.Datastore)
		if store.Name == change.Datastore {
			known = true
			ctx.WithLock(store, func() {
				ctx.Update(store, []types.PropertyChange{{Name: "summary.freeSpace", Val: change.Free}})
			})
		}
	}
	if !known {
		return fmt.Errorf("no datastore %q", change.Datastore)
	}
	return nil
}

func (vc *vcenter) link(clone linkedClone) error {
	vm := vc.machine(clone.VM)
	if vm == nil {
		return fmt.Errorf("no VM %q", clone.VM)
	}
	ctx := *vc.ctx
	ctx.WithLock(vm, func() {
		backing := virtualDisks(vm.Config)[0].Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		backing.Parent = &types.VirtualDiskFlatVer2BackingInfo{
			VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{
				FileName: clone.Parent, Datastore: backing.Datastore,
			},
			DiskMode: backing.DiskMode,
		}
	})
	return nil
}

func (vc *vcenter) mount(m mount) error {
	vm := vc.machine(m.VM)
	if vm == nil {
		return fmt.Errorf("no VM %q", m.VM)
	}
	for _, entity := range vc.ctx.Map.All("Datastore") {
		store := entity.(*simulator.Datastore)
		if store.Name == m.Datastore {
			ctx := *vc.ctx
			ctx.WithLock(vm, func() {
				ctx.Update(vm, []types.PropertyChange{{Name: "datastore", Val: append(vm.Datastore, store.Self)}})
			})
			return nil
		}
	}
	return fmt.Errorf("no datastore %q", m.Datastore)
}
