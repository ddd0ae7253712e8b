package main

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// privilegeFor is what vCenter asks for, for the calls whose refusal matters here (vSphere Web Services API).
var privilegeFor = map[string]string{
	"CreateSnapshot_Task":     "VirtualMachine.State.CreateSnapshot",
	"CreateSnapshotEx_Task":   "VirtualMachine.State.CreateSnapshot",
	"RemoveSnapshot_Task":     "VirtualMachine.State.RemoveSnapshot",
	"ConsolidateVMDisks_Task": "VirtualMachine.State.RemoveSnapshot",
	"ExportSnapshot":          "VApp.Export",
	"ExportVm":                "VApp.Export",
	"HttpNfcLeaseProgress":    "VApp.Export",
	"QueryChangedDiskAreas":   "VirtualMachine.Provisioning.DiskRandomRead",
}

// callCounts counts the clients' calls: a round trip each.
type callCounts struct {
	mutex  sync.Mutex
	counts map[call]int
}

type call struct {
	method, object string // the object's moref
}

func (c *callCounts) add(method, object string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.counts == nil {
		c.counts = map[call]int{}
	}
	c.counts[call{method, object}]++
}

// onCall sees every call before the simulator does; a fault it returns is the answer.
func (vc *vcenter) onCall(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if simulator.ServiceFromContext(ctx) == nil {
		return nil, vc.redirect(ctx, method) // our own in-process client
	}
	vc.calls.add(method.Name, method.This.Value)
	time.Sleep(seconds(vc.currentSettings().Latency))
	if retrieve, ok := method.Body.(*types.RetrievePropertiesEx); ok {
		limit := vc.currentSettings().PageSize
		if asked := retrieve.Options.MaxObjects; limit > 0 && (asked == 0 || asked > limit) {
			retrieve.Options.MaxObjects = limit // holds for the pages after the first, too
		}
	}
	if r, ok := vc.rules.take("call", method.Name, vc.names(method.This)); ok {
		time.Sleep(time.Duration(r.DelayMS) * time.Millisecond)
		if r.Drop {
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
		if r.Fault != "" {
			return nil, newFault(r.Fault, method.This)
		}
	}
	if ctx.Session == nil {
		return nil, nil // the simulator answers NotAuthenticated itself
	}
	if privilege, ok := privilegeFor[method.Name]; ok && vc.denied(privilege) {
		return nil, &types.NoPermission{Object: &method.This, PrivilegeId: privilege}
	}
	return nil, vc.redirect(ctx, method)
}

// redirect sends the calls we replace to our own object. The simulator looks the method up on whatever object
// the call names, so naming another is enough; its objects stay as they are, because it asserts their types.
func (vc *vcenter) redirect(ctx *simulator.Context, method *simulator.Method) types.BaseMethodFault {
	if replaced[method.Name] == method.This.Type && ctx.Map.Get(method.This) != nil {
		method.This = replacementsRef
	}
	return nil
}

// names are what a rule may call the object of a call: its moref, its name, and its VM's.
func (vc *vcenter) names(ref types.ManagedObjectReference) []string {
	names := []string{ref.Value}
	if lease := vc.leases.find(ref); lease != nil { // it is known in its session alone
		return append(names, lease.vmName)
	}
	switch o := vc.ctx.Map.Get(ref).(type) {
	case *simulator.VirtualMachineSnapshot:
		names = append(names, vc.names(o.Vm)...)
	case mo.Entity:
		names = append(names, unescape(o.Entity().Name))
	}
	return names
}

func unescape(name string) string {
	return strings.NewReplacer("%2f", "/", "%5c", `\`, "%25", "%").Replace(name)
}

func (vc *vcenter) denied(privilege string) bool {
	for _, p := range vc.currentSettings().DeniedPrivileges {
		if p == privilege {
			return true
		}
	}
	return false
}
