package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// HttpNfcLease is an export lease that ends when no progress is reported for its time-out, as in vCenter. The
// name is the managed object's type: the simulator takes it from the Go type, whose first field must be the
// API's object.
type HttpNfcLease struct {
	mo.HttpNfcLease

	vc      *vcenter
	token   string            // in the device URLs
	vmName  string            // as people see it
	files   map[string]string // last part of a device URL → file that it gives
	timeout time.Duration
	timer   *time.Timer
	ended   chan struct{} // closed when the lease is over, in whatever way
	once    sync.Once
	sent    map[string]int64 // bytes by last part of the device URL, held by vc.leases.mutex
	reports int              // calls of HttpNfcLeaseProgress
}

func (r *replacements) ExportSnapshot(ctx *simulator.Context, req *types.ExportSnapshot) soap.HasFault {
	snapshot := ctx.Map.Get(req.This).(*simulator.VirtualMachineSnapshot)
	lease := r.vc.newLease(ctx, r.vc.mustMachine(snapshot.Vm), &snapshot.Config, "ExportSnapshot")
	return &methods.ExportSnapshotBody{Res: &types.ExportSnapshotResponse{Returnval: lease.Self}}
}

// ExportVm is for a VM that is off, as in vCenter.
func (r *replacements) ExportVm(ctx *simulator.Context, req *types.ExportVm) soap.HasFault {
	vm := r.vc.mustMachine(req.This)
	if state := vm.Runtime.PowerState; state != types.VirtualMachinePowerStatePoweredOff {
		fault := &types.InvalidPowerState{ExistingState: state, RequestedState: types.VirtualMachinePowerStatePoweredOff}
		return &methods.ExportVmBody{Fault_: simulator.Fault("the virtual machine is not powered off", fault)}
	}
	lease := r.vc.newLease(ctx, vm, vm.Config, "ExportVm")
	return &methods.ExportVmBody{Res: &types.ExportVmResponse{Returnval: lease.Self}}
}

// newLease opens a lease in the caller's session, and makes it ready a little later, or what a rule for the task
// of the call says.
func (vc *vcenter) newLease(ctx *simulator.Context, vm *simulator.VirtualMachine, config *types.VirtualMachineConfigInfo, call string) *HttpNfcLease {
	settings := vc.currentSettings()
	lease := &HttpNfcLease{
		vc: vc, token: uuid.NewString(), vmName: unescape(vm.Name), files: map[string]string{},
		timeout: seconds(settings.LeaseTimeout), ended: make(chan struct{}), sent: map[string]int64{},
	}
	lease.State = types.HttpNfcLeaseStateInitializing
	lease.Mode = string(types.HttpNfcLeaseModePushOrGet)
	info := &types.HttpNfcLeaseInfo{
		Entity:       vm.Self,
		LeaseTimeout: int32(max(1, settings.LeaseTimeout)),
		DeviceUrl:    lease.deviceURLs(vm, config, settings),
	}
	for _, disk := range virtualDisks(config) {
		info.TotalDiskCapacityInKB += disk.CapacityInKB
	}
	ctx.Session.Put(lease)
	info.Lease = lease.Self
	rule, _ := vc.rules.take("task", call, vc.names(vm.Self))

	vc.leases.mutex.Lock()
	if vc.leases.open == nil {
		vc.leases.open = map[string]*HttpNfcLease{}
	}
	vc.leases.open[lease.token] = lease
	vc.leases.Made++
	opening := seconds(settings.LeaseInitialize) + time.Duration(rule.DelayMS)*time.Millisecond
	lease.timer = time.AfterFunc(opening+lease.timeout, lease.expire)
	vc.leases.mutex.Unlock()

	time.AfterFunc(opening, func() {
		if rule.Fault != "" {
			lease.fail(newFault(rule.Fault, vm.Self), &vc.leases.Failed)
			return
		}
		lease.change([]types.PropertyChange{
			{Name: "state", Val: types.HttpNfcLeaseStateReady},
			{Name: "info", Val: info},
		})
	})
	return lease
}

// deviceURLs are a URL per disk, and one for the NVRAM, which every export has and which is no disk.
func (l *HttpNfcLease) deviceURLs(vm *simulator.VirtualMachine, config *types.VirtualMachineConfigInfo, settings Settings) []types.HttpNfcLeaseDeviceUrl {
	esx, err := l.vc.hostDoor(*vm.Runtime.Host)
	if err != nil {
		panic(err)
	}
	host := esx.address
	if settings.WildcardHost {
		host = "*" + host[strings.LastIndex(host, ":"):]
	}
	thumbprint := map[string]string{"server": l.vc.thumbprint, "wrong": strings.Repeat("00:", 19) + "00"}[settings.Thumbprint]
	var urls []types.HttpNfcLeaseDeviceUrl
	for i, disk := range virtualDisks(config) {
		name := fmt.Sprintf("disk-%d.vmdk", i)
		file := l.vc.disks.path(vm.Self, disk.Key)
		l.files[name] = file
		unit := types.HttpNfcLeaseDeviceUrl{
			Key:           fmt.Sprintf("/%s/ParaVirtualSCSIController0:%d", vm.Self.Value, i),
			ImportKey:     fmt.Sprintf("/%s/ParaVirtualSCSIController0:%d", l.vmName, i),
			Url:           fmt.Sprintf("https://%s/nfc/%s/%s", host, l.token, name),
			SslThumbprint: thumbprint, Disk: types.NewBool(true), TargetId: name,
		}
		if info, err := os.Stat(file); err == nil && settings.FileSize {
			unit.FileSize = info.Size()
		}
		urls = append(urls, unit)
	}
	l.files["nvram"] = ""
	return append(urls, types.HttpNfcLeaseDeviceUrl{
		Key: fmt.Sprintf("/%s/nvram", vm.Self.Value), ImportKey: fmt.Sprintf("/%s/nvram", l.vmName),
		Url:           fmt.Sprintf("https://%s/nfc/%s/nvram", host, l.token),
		SslThumbprint: thumbprint, Disk: types.NewBool(false), TargetId: "nvram",
	})
}

func (l *HttpNfcLease) HttpNfcLeaseProgress(ctx *simulator.Context, req *types.HttpNfcLeaseProgress) soap.HasFault {
	if l.State == types.HttpNfcLeaseStateError {
		return &methods.HttpNfcLeaseProgressBody{Fault_: simulator.Fault("the lease has ended", l.Error.Fault)}
	}
	l.vc.leases.mutex.Lock()
	l.timer.Reset(l.timeout)
	l.reports++
	l.vc.leases.mutex.Unlock()
	ctx.Update(l, []types.PropertyChange{{Name: "transferProgress", Val: req.Percent}})
	return &methods.HttpNfcLeaseProgressBody{Res: new(types.HttpNfcLeaseProgressResponse)}
}

func (l *HttpNfcLease) HttpNfcLeaseComplete(ctx *simulator.Context, _ *types.HttpNfcLeaseComplete) soap.HasFault {
	if l.State != types.HttpNfcLeaseStateReady {
		return &methods.HttpNfcLeaseCompleteBody{Fault_: simulator.Fault("the lease is not ready", new(types.InvalidState))}
	}
	l.close(ctx, &l.vc.leases.Completed)
	return &methods.HttpNfcLeaseCompleteBody{Res: new(types.HttpNfcLeaseCompleteResponse)}
}

func (l *HttpNfcLease) HttpNfcLeaseAbort(ctx *simulator.Context, _ *types.HttpNfcLeaseAbort) soap.HasFault {
	l.close(ctx, &l.vc.leases.Aborted)
	return &methods.HttpNfcLeaseAbortBody{Res: new(types.HttpNfcLeaseAbortResponse)}
}

// HttpNfcLeaseGetManifest is empty unless asked for before the download (SetManifestChecksumType), as in vCenter.
func (l *HttpNfcLease) HttpNfcLeaseGetManifest(*simulator.Context, *types.HttpNfcLeaseGetManifest) soap.HasFault {
	return &methods.HttpNfcLeaseGetManifestBody{Res: new(types.HttpNfcLeaseGetManifestResponse)}
}

func (l *HttpNfcLease) close(ctx *simulator.Context, counter *int) {
	l.end(counter)
	ctx.Session.Remove(ctx, l.Self)
}

// expire is what happens without progress.
func (l *HttpNfcLease) expire() {
	l.fail(&types.Timedout{}, &l.vc.leases.Expired)
}

// fail ends the lease; the object stays, in the state of an error.
func (l *HttpNfcLease) fail(fault types.BaseMethodFault, counter *int) {
	said := fmt.Sprintf("The lease ended: %T.", fault)
	l.change([]types.PropertyChange{
		{Name: "state", Val: types.HttpNfcLeaseStateError},
		{Name: "error", Val: &types.LocalizedMethodFault{Fault: fault, LocalizedMessage: said}},
	})
	l.end(counter)
}

func (l *HttpNfcLease) end(counter *int) {
	l.once.Do(func() {
		book := &l.vc.leases
		book.mutex.Lock()
		l.timer.Stop()
		delete(book.open, l.token)
		*counter++
		book.mutex.Unlock()
		close(l.ended)
	})
}

// change updates the object from outside a call. The context is new because locks are shared within one.
func (l *HttpNfcLease) change(changes []types.PropertyChange) {
	ctx := *l.vc.ctx
	ctx.WithLock(l, func() {
		if !slices.Contains([]types.HttpNfcLeaseState{types.HttpNfcLeaseStateError, types.HttpNfcLeaseStateDone}, l.State) {
			ctx.Update(l, changes)
		}
	})
}

func seconds(value float64) time.Duration {
	return time.Duration(value * float64(time.Second))
}
