package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// With a snapshot a VM goes on to write to a delta file on top of the file that the snapshot holds. The simulator
// leaves the VM's disks as they are; here they are given the names that vCenter shows. What an export gives is
// found by the disk's key, and so stays the same.

// deltas puts a delta file under each of a VM's disks, whose lock the caller holds.
func (vc *vcenter) deltas(vm *simulator.VirtualMachine) {
	if !vc.currentSettings().DeltaDisks {
		return
	}
	for _, disk := range virtualDisks(vm.Config) {
		if held, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
			grown := *held
			grown.FileName = deltaName(held.FileName)
			grown.Parent = held
			disk.Backing = &grown
		}
	}
}

// merge drops the delta file on top of what a snapshot held, from a VM whose lock the caller holds and from its
// other snapshots.
func (vc *vcenter) merge(ctx *simulator.Context, vm *simulator.VirtualMachine, removed *types.VirtualMachineConfigInfo) {
	configs := []*types.VirtualMachineConfigInfo{vm.Config}
	for _, ref := range descendants(&types.VirtualMachineSnapshotTree{ChildSnapshotList: vm.Snapshot.RootSnapshotList}) {
		configs = append(configs, &ctx.Map.Get(ref).(*simulator.VirtualMachineSnapshot).Config)
	}
	for _, held := range virtualDisks(removed) {
		file, ok := held.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		if !ok {
			continue
		}
		for _, config := range configs {
			for _, disk := range virtualDisks(config) {
				if top, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok && disk.Key == held.Key {
					disk.Backing = without(top, file.FileName)
				}
			}
		}
	}
}

// without is the chain of files whose link on top of parent is merged into it.
func without(top *types.VirtualDiskFlatVer2BackingInfo, parent string) *types.VirtualDiskFlatVer2BackingInfo {
	switch {
	case top.Parent == nil:
		return top
	case top.Parent.FileName == parent:
		return top.Parent
	default:
		kept := *top
		kept.Parent = without(top.Parent, parent)
		return &kept
	}
}

// deltaName is the name of the file on top of another: web-000001.vmdk, web-000002.vmdk…
func deltaName(file string) string {
	stem := strings.TrimSuffix(file, path.Ext(file))
	number := 0
	if at := strings.LastIndex(stem, "-"); at >= 0 && len(stem)-at == 7 {
		if _, err := fmt.Sscanf(stem[at+1:], "%06d", &number); err == nil {
			stem = stem[:at]
		}
	}
	return fmt.Sprintf("%s-%06d%s", stem, number+1, path.Ext(file))
}
