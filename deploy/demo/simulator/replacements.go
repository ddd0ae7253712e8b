package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// replaced are the calls that replacements answers, with the type of object they are for.
var replaced = map[string]string{
	"CreateSnapshot_Task":          "VirtualMachine",
	"CreateSnapshotEx_Task":        "VirtualMachine",
	"RemoveAllSnapshots_Task":      "VirtualMachine",
	"ConsolidateVMDisks_Task":      "VirtualMachine",
	"ExportVm":                     "VirtualMachine",
	"RemoveSnapshot_Task":          "VirtualMachineSnapshot",
	"ExportSnapshot":               "VirtualMachineSnapshot",
	"HasPrivilegeOnEntities":       "AuthorizationManager",
	"HasPrivilegeOnEntity":         "AuthorizationManager",
	"HasUserPrivilegeOnEntities":   "AuthorizationManager",
	"FetchUserPrivilegeOnEntities": "AuthorizationManager",
}

var replacementsRef = types.ManagedObjectReference{Type: "Replacements", Value: "replacements"}

// replacements answers the calls that the simulator lacks or gets wrong; see vcenter.redirect.
type replacements struct {
	Self types.ManagedObjectReference
	vc   *vcenter
	busy sync.Map // VM → *sync.Mutex: the work of its tasks is done one after the other
}

func (r *replacements) Reference() types.ManagedObjectReference { return r.Self }

// Lock and Unlock do nothing: each method locks the objects it is about.
func (r *replacements) Lock()   {}
func (r *replacements) Unlock() {}

var _ mo.Reference = (*replacements)(nil)

// recentTasks is how many tasks a VM remembers, whatever became of them.
const recentTasks = 16

// lockFree is what a task is made for when it must not hold its VM's lock while it waits: the simulator locks
// whatever the reference names.
type lockFree struct{ ref types.ManagedObjectReference }

func (l lockFree) Reference() types.ManagedObjectReference { return l.ref }

// startTask runs a vSphere task for a VM: first what the rules say, then the work.
func (r *replacements) startTask(ctx *simulator.Context, vm *simulator.VirtualMachine, method, name string, quiesced bool,
	work func() (types.AnyType, types.BaseMethodFault),
) types.ManagedObjectReference {
	names := r.vc.names(vm.Self)
	stand := lockFree{types.ManagedObjectReference{Type: vm.Self.Type, Value: vm.Self.Value + "/" + name}}
	task := simulator.CreateTask(stand, name, func(t *simulator.Task) (types.AnyType, types.BaseMethodFault) {
		onlyQuiesced := func(rule Rule) bool { return rule.QuiescedOnly && !quiesced }
		if rule, ok := r.vc.rules.take("task", method, names, onlyQuiesced); ok {
			if r.cancelled(t, time.Duration(rule.DelayMS)*time.Millisecond) {
				return nil, &types.RequestCanceled{}
			}
			if rule.Fault != "" {
				return nil, newFault(rule.Fault, vm.Self)
			}
		}
		turn, _ := r.busy.LoadOrStore(vm.Self, new(sync.Mutex))
		turn.(*sync.Mutex).Lock()
		defer turn.(*sync.Mutex).Unlock()
		result, fault := work()
		if rule, ok := r.vc.rules.take("after", method, names); ok {
			if rule.Unmerged {
				r.vc.setConsolidationNeeded(vm, true)
			}
			if rule.Fault != "" {
				return nil, newFault(rule.Fault, vm.Self)
			}
		}
		return result, fault
	})
	ref := task.Run(ctx)
	r.vc.tasks.add(ref)
	ctx.Map.AtomicUpdate(ctx, task, []types.PropertyChange{
		{Name: "info.entity", Val: vm.Self},
		{Name: "info.entityName", Val: vm.Name},
	})
	ctx.WithLock(vm, func() {
		recent := append(slices.Clone(vm.RecentTask), ref)
		recent = recent[max(0, len(recent)-recentTasks):]
		ctx.Update(vm, []types.PropertyChange{{Name: "recentTask", Val: recent}})
	})
	if _, ok := r.vc.rules.take("reply", method, names); ok {
		panic(http.ErrAbortHandler)
	}
	return ref
}

// cancelled waits, and tells whether the task was cancelled meanwhile.
func (r *replacements) cancelled(task *simulator.Task, wait time.Duration) bool {
	own, is := *r.vc.ctx, false // locks are shared within a context
	for end := time.Now().Add(wait); !is && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		own.WithLock(task, func() { is = task.Info.Cancelled })
	}
	return is
}

// inner gives the result of a task that the simulator has started for us.
func inner(ctx *simulator.Context, ref types.ManagedObjectReference) (types.AnyType, types.BaseMethodFault) {
	task := ctx.Map.Get(ref).(*simulator.Task)
	task.Wait()
	if task.Info.Error != nil {
		return nil, task.Info.Error.Fault
	}
	return task.Info.Result, nil
}

func (r *replacements) HasPrivilegeOnEntities(req *types.HasPrivilegeOnEntities) soap.HasFault {
	return &methods.HasPrivilegeOnEntitiesBody{
		Res: &types.HasPrivilegeOnEntitiesResponse{Returnval: r.granted(req.Entity, req.PrivId)},
	}
}

func (r *replacements) HasUserPrivilegeOnEntities(ctx *simulator.Context, req *types.HasUserPrivilegeOnEntities) soap.HasFault {
	for _, entity := range req.Entities {
		if ctx.Map.Get(entity) == nil {
			return &methods.HasUserPrivilegeOnEntitiesBody{
				Fault_: simulator.Fault("", &types.ManagedObjectNotFound{Obj: entity}),
			}
		}
	}
	return &methods.HasUserPrivilegeOnEntitiesBody{
		Res: &types.HasUserPrivilegeOnEntitiesResponse{Returnval: r.granted(req.Entities, req.PrivId)},
	}
}

func (r *replacements) HasPrivilegeOnEntity(req *types.HasPrivilegeOnEntity) soap.HasFault {
	var answers []bool
	for _, privilege := range req.PrivId {
		answers = append(answers, !r.vc.denied(privilege))
	}
	return &methods.HasPrivilegeOnEntityBody{Res: &types.HasPrivilegeOnEntityResponse{Returnval: answers}}
}

func (r *replacements) FetchUserPrivilegeOnEntities(ctx *simulator.Context, req *types.FetchUserPrivilegeOnEntities) soap.HasFault {
	manager := ctx.Map.Get(req.This).(*simulator.AuthorizationManager)
	body := manager.FetchUserPrivilegeOnEntities(req).(*methods.FetchUserPrivilegeOnEntitiesBody)
	for i, result := range body.Res.Returnval {
		var granted []string
		for _, privilege := range result.Privileges {
			if !r.vc.denied(privilege) {
				granted = append(granted, privilege)
			}
		}
		body.Res.Returnval[i].Privileges = granted
	}
	return body
}

func (r *replacements) granted(entities []types.ManagedObjectReference, privileges []string) []types.EntityPrivilege {
	var answers []types.EntityPrivilege
	for _, entity := range entities {
		answer := types.EntityPrivilege{Entity: entity}
		for _, privilege := range privileges {
			answer.PrivAvailability = append(answer.PrivAvailability, types.PrivilegeAvailability{
				PrivId: privilege, IsGranted: !r.vc.denied(privilege),
			})
		}
		answers = append(answers, answer)
	}
	return answers
}

func (vc *vcenter) mustMachine(ref types.ManagedObjectReference) *simulator.VirtualMachine {
	vm, ok := vc.ctx.Map.Get(ref).(*simulator.VirtualMachine)
	if !ok {
		panic(fmt.Sprintf("%s is no VM", ref))
	}
	return vm
}
