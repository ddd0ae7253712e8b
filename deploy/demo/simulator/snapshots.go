package main

import (
	"os"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// snapshotFiles remembers the state file of each snapshot. The simulator finds it again by a key that it renews
// at every refresh, and so deletes other files of a VM that has several snapshots.
type snapshotFiles struct {
	mutex sync.Mutex
	paths map[types.ManagedObjectReference]string
}

func (s *snapshotFiles) remember(snapshot types.ManagedObjectReference, path string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.paths == nil {
		s.paths = map[types.ManagedObjectReference]string{}
	}
	s.paths[snapshot] = path
}

func (s *snapshotFiles) forget(snapshot types.ManagedObjectReference) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if path, ok := s.paths[snapshot]; ok {
		_ = os.Remove(path)
		delete(s.paths, snapshot)
	}
}

func (r *replacements) CreateSnapshotTask(ctx *simulator.Context, req *types.CreateSnapshot_Task) soap.HasFault {
	vm := r.vc.mustMachine(req.This)
	work := func() (types.AnyType, types.BaseMethodFault) {
		body := vm.CreateSnapshotTask(ctx, req).(*methods.CreateSnapshot_TaskBody)
		return r.created(ctx, vm, body.Res.Returnval, req.Quiesce)
	}
	ref := r.startTask(ctx, vm, "CreateSnapshot_Task", "createSnapshotTask", req.Quiesce, work)
	return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: ref}}
}

func (r *replacements) CreateSnapshotExTask(ctx *simulator.Context, req *types.CreateSnapshotEx_Task) soap.HasFault {
	vm := r.vc.mustMachine(req.This)
	work := func() (types.AnyType, types.BaseMethodFault) {
		body := vm.CreateSnapshotExTask(ctx, req).(*methods.CreateSnapshotEx_TaskBody)
		return r.created(ctx, vm, body.Res.Returnval, req.QuiesceSpec != nil)
	}
	ref := r.startTask(ctx, vm, "CreateSnapshotEx_Task", "createSnapshotExTask", req.QuiesceSpec != nil, work)
	return &methods.CreateSnapshotEx_TaskBody{Res: &types.CreateSnapshotEx_TaskResponse{Returnval: ref}}
}

// created waits for a new snapshot and corrects what the simulator says about it.
func (r *replacements) created(ctx *simulator.Context, vm *simulator.VirtualMachine, task types.ManagedObjectReference,
	quiesced bool,
) (types.AnyType, types.BaseMethodFault) {
	result, fault := inner(ctx, task)
	if fault != nil {
		return nil, fault
	}
	snapshot := result.(types.ManagedObjectReference)
	ctx.WithLock(vm, func() {
		for _, layout := range vm.LayoutEx.Snapshot {
			if layout.Key != snapshot {
				continue
			}
			for _, file := range vm.LayoutEx.File {
				if file.Key == layout.DataKey {
					r.vc.snapshots.remember(snapshot, datastorePath(ctx, vm.Datastore[0], file.Name))
				}
			}
		}
		if node := findNode(vm.Snapshot.RootSnapshotList, snapshot); node != nil {
			node.Quiesced = quiesced
		}
		r.vc.deltas(vm)
		vm.RefreshStorageInfo(ctx, nil)
	})
	return snapshot, nil
}

func (r *replacements) RemoveSnapshotTask(ctx *simulator.Context, req *types.RemoveSnapshot_Task) soap.HasFault {
	snapshot, ok := ctx.Map.Get(req.This).(*simulator.VirtualMachineSnapshot)
	if !ok { // removed between the call's dispatch and here
		gone := &types.ManagedObjectNotFound{Obj: req.This}
		return &methods.RemoveSnapshot_TaskBody{Fault_: simulator.Fault("", gone)}
	}
	vm := r.vc.mustMachine(snapshot.Vm)
	work := func() (types.AnyType, types.BaseMethodFault) {
		if ctx.Map.Get(req.This) == nil { // a second removal of the same was faster
			return nil, &types.ManagedObjectNotFound{Obj: req.This}
		}
		removed := []types.ManagedObjectReference{req.This}
		ctx.WithLock(vm, func() {
			r.vc.merge(ctx, vm, &snapshot.Config)
			if req.RemoveChildren {
				removed = append(removed, descendants(findNode(vm.Snapshot.RootSnapshotList, req.This))...)
			}
			r.forgetKeys(vm)
		})
		body := snapshot.RemoveSnapshotTask(ctx, req).(*methods.RemoveSnapshot_TaskBody)
		_, fault := inner(ctx, body.Res.Returnval)
		r.dropped(ctx, vm, removed)
		return nil, fault
	}
	ref := r.startTask(ctx, vm, "RemoveSnapshot_Task", "removeSnapshotTask", false, work)
	return &methods.RemoveSnapshot_TaskBody{Res: &types.RemoveSnapshot_TaskResponse{Returnval: ref}}
}

func (r *replacements) RemoveAllSnapshotsTask(ctx *simulator.Context, req *types.RemoveAllSnapshots_Task) soap.HasFault {
	vm := r.vc.mustMachine(req.This)
	work := func() (types.AnyType, types.BaseMethodFault) {
		var removed []types.ManagedObjectReference
		ctx.WithLock(vm, func() {
			if vm.Snapshot != nil {
				removed = descendants(&types.VirtualMachineSnapshotTree{ChildSnapshotList: vm.Snapshot.RootSnapshotList})
			}
			r.forgetKeys(vm)
		})
		body := vm.RemoveAllSnapshotsTask(ctx, req).(*methods.RemoveAllSnapshots_TaskBody)
		_, fault := inner(ctx, body.Res.Returnval)
		r.dropped(ctx, vm, removed)
		return nil, fault
	}
	ref := r.startTask(ctx, vm, "RemoveAllSnapshots_Task", "removeAllSnapshotsTask", false, work)
	return &methods.RemoveAllSnapshots_TaskBody{Res: &types.RemoveAllSnapshots_TaskResponse{Returnval: ref}}
}

// forgetKeys keeps the simulator from deleting any file: its keys are stale.
func (r *replacements) forgetKeys(vm *simulator.VirtualMachine) {
	for i := range vm.LayoutEx.Snapshot {
		vm.LayoutEx.Snapshot[i].DataKey, vm.LayoutEx.Snapshot[i].MemoryKey = -1, -1
	}
}

// dropped deletes the removed snapshots' own files and the references that the simulator leaves to them.
func (r *replacements) dropped(ctx *simulator.Context, vm *simulator.VirtualMachine, removed []types.ManagedObjectReference) {
	for _, ref := range removed {
		r.vc.snapshots.forget(ref)
		ctx.Map.Remove(ctx, ref)
	}
	ctx.WithLock(vm, func() {
		if vm.Snapshot == nil {
			return
		}
		all := descendants(&types.VirtualMachineSnapshotTree{ChildSnapshotList: vm.Snapshot.RootSnapshotList})
		for _, ref := range all {
			kept := ctx.Map.Get(ref).(*simulator.VirtualMachineSnapshot)
			kept.ChildSnapshot = nil
			for _, child := range findNode(vm.Snapshot.RootSnapshotList, ref).ChildSnapshotList {
				kept.ChildSnapshot = append(kept.ChildSnapshot, child.Snapshot)
			}
		}
		vm.RefreshStorageInfo(ctx, nil)
	})
}

func (r *replacements) ConsolidateVMDisksTask(ctx *simulator.Context, req *types.ConsolidateVMDisks_Task) soap.HasFault {
	vm := r.vc.mustMachine(req.This)
	work := func() (types.AnyType, types.BaseMethodFault) {
		r.vc.setConsolidationNeeded(vm, false)
		return nil, nil
	}
	ref := r.startTask(ctx, vm, "ConsolidateVMDisks_Task", "consolidateVMDisksTask", false, work)
	return &methods.ConsolidateVMDisks_TaskBody{Res: &types.ConsolidateVMDisks_TaskResponse{Returnval: ref}}
}

func (vc *vcenter) setConsolidationNeeded(vm *simulator.VirtualMachine, needed bool) {
	vc.ctx.WithLock(vm, func() {
		vc.ctx.Update(vm, []types.PropertyChange{
			{Name: "runtime.consolidationNeeded", Val: needed},
			{Name: "summary.runtime.consolidationNeeded", Val: needed},
		})
	})
}

func findNode(tree []types.VirtualMachineSnapshotTree, ref types.ManagedObjectReference) *types.VirtualMachineSnapshotTree {
	for i := range tree {
		if tree[i].Snapshot == ref {
			return &tree[i]
		}
		if node := findNode(tree[i].ChildSnapshotList, ref); node != nil {
			return node
		}
	}
	return nil
}

// descendants are the snapshots below a node, not the node itself.
func descendants(node *types.VirtualMachineSnapshotTree) []types.ManagedObjectReference {
	if node == nil {
		return nil
	}
	var refs []types.ManagedObjectReference
	for i := range node.ChildSnapshotList {
		refs = append(refs, node.ChildSnapshotList[i].Snapshot)
		refs = append(refs, descendants(&node.ChildSnapshotList[i])...)
	}
	return refs
}
