package main

import (
	"fmt"
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

// leaseBook finds open leases by the token in a URL: downloads need no session.
type leaseBook struct {
	mutex sync.Mutex
	open  map[string]*HttpNfcLease
	// made, completed, aborted, expired, failed count leases over the simulator's life.
	Made, Completed, Aborted, Expired, Failed int
}

// leaseFailure ends the open leases of a VM with a fault.
type leaseFailure struct {
	VM    string `json:"vm"`
	Fault string `json:"fault"` // vSphere's name of it
}

func (vc *vcenter) failLeases(failure leaseFailure) error {
	vm := vc.machine(failure.VM)
	if vm == nil {
		return fmt.Errorf("no VM %q", failure.VM)
	}
	if _, known := types.TypeFunc()(failure.Fault); !known {
		return fmt.Errorf("no vSphere fault is called %q", failure.Fault)
	}
	for _, lease := range vc.leases.all() {
		if lease.vmName == failure.VM {
			lease.fail(newFault(failure.Fault, vm.Self), &vc.leases.Failed)
		}
	}
	return nil
}

func (b *leaseBook) all() []*HttpNfcLease {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	var leases []*HttpNfcLease
	for _, lease := range b.open {
		leases = append(leases, lease)
	}
	return leases
}

// find gives the open lease with this reference; nil when there is none.
func (b *leaseBook) find(ref types.ManagedObjectReference) *HttpNfcLease {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, lease := range b.open {
		if lease.Self == ref {
			return lease
		}
	}
	return nil
}

// endAll ends every lease, and the downloads under it.
func (b *leaseBook) endAll() {
	for _, lease := range b.all() {
		lease.end(&b.Failed)
	}
}
