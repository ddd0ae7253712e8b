package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const emptyDiskBytes = 10 << 30

// escape is how vCenter stores a name: these three characters are separators elsewhere.
func escape(name string) string {
	return strings.NewReplacer("%", "%25", "/", "%2f", `\`, "%5c").Replace(name)
}

// fileName is a VM's name without separators: with one in it, creating a VM that has disks fails. The VM gets
// its own name afterwards, and vCenter too names files without separators.
func fileName(name string) string {
	return strings.NewReplacer("%", "_", "/", "_", `\`, "_").Replace(name)
}

// base is the path of a VM's files without their endings; VMs of the same name get folders with a number.
func (s *site) base(store, name string) string {
	file := fileName(name)
	folder := file
	for i := 1; s.taken[store+folder]; i++ {
		folder = fmt.Sprintf("%s_%d", file, i)
	}
	s.taken[store+folder] = true
	return fmt.Sprintf("[%s] %s/%s", store, folder, file)
}

type creation struct {
	spec    Machine
	cluster *compute
	task    *simulator.Task
}

// machines creates a datacenter's VMs: those described one after the other, so that they have the same morefs
// every time; the empty ones all at once, because one by one each costs 20 ms.
func (b *builder) machines(s *site, disks *diskFiles) error {
	for _, spec := range s.spec.Machines {
		c, err := b.create(s, spec)
		if err == nil {
			err = b.finish(c, disks)
		}
		if err != nil {
			return fmt.Errorf("VM %q: %w", spec.Name, err)
		}
	}
	var running []creation
	for i := range s.spec.EmptyMachines {
		c, err := b.create(s, emptyMachine(i))
		if err != nil {
			return err
		}
		running = append(running, c)
	}
	for _, c := range running {
		if err := b.finish(c, disks); err != nil {
			return err
		}
	}
	return nil
}

// finish waits for a VM and gives it what creating one cannot.
func (b *builder) finish(c creation, disks *diskFiles) error {
	result, fault := inner(b.ctx, c.task.Self)
	if fault != nil {
		return fmt.Errorf("%T %+[1]v", fault)
	}
	vm := b.ctx.Map.Get(result.(types.ManagedObjectReference)).(*simulator.VirtualMachine)
	dress(vm, c.spec, c.cluster)
	if err := disks.attach(b.ctx, vm, c.spec.Disks); err != nil {
		return err
	}
	return b.snapshots(vm, c.spec.Snapshots)
}

func emptyMachine(index int) Machine {
	return Machine{
		Name: fmt.Sprintf("vm-%05d", index), GuestID: "debian12_64Guest", GuestFamily: "linuxGuest",
		GuestFullName: "Debian GNU/Linux 12 (64-bit)", CPUs: 2, MemoryMiB: 2048, Power: "poweredOn",
		ToolsRunning: true, Disks: []Disk{{Capacity: emptyDiskBytes}},
	}
}

func (b *builder) create(s *site, spec Machine) (creation, error) {
	folder, err := b.folder(s, spec.Folders)
	if err != nil {
		return creation{}, err
	}
	cluster, host, err := s.place(spec)
	if err != nil {
		return creation{}, err
	}
	store := spec.Datastore
	if store == "" {
		store = s.spec.Datastores[s.next%len(s.spec.Datastores)].Name
	}
	base := s.base(store, spec.Name)
	changes, err := devices(base, spec.Disks)
	if err != nil {
		return creation{}, err
	}
	identity := path.Join(append(append([]string{s.spec.Name}, spec.Folders...), spec.Name)...)
	config := types.VirtualMachineConfigSpec{
		Name: fileName(spec.Name), GuestId: spec.GuestID, NumCPUs: spec.CPUs, MemoryMB: spec.MemoryMiB,
		Annotation: spec.Annotation, DeviceChange: changes,
		InstanceUuid: uuid.NewSHA1(uuid.NameSpaceURL, []byte(identity)).String(),
		Files:        &types.VirtualMachineFileInfo{VmPathName: base + ".vmx"},
	}
	task, err := folder.CreateVM(context.Background(), config, cluster.pool, host)
	if err != nil {
		return creation{}, err
	}
	return creation{spec, cluster, b.ctx.Map.Get(task.Reference()).(*simulator.Task)}, nil
}

func (b *builder) folder(s *site, names []string) (*object.Folder, error) {
	key := strings.Join(names, "\x00")
	if folder, ok := s.folders[key]; ok {
		return folder, nil
	}
	folder, err := b.nested(s.vmFolder, names)
	if err == nil {
		s.folders[key] = folder
	}
	return folder, err
}

// place picks the VM's cluster and host: those it names, else hosts of its cluster in turn.
func (s *site) place(spec Machine) (*compute, *object.HostSystem, error) {
	cluster := s.clusters[0]
	for _, c := range s.clusters {
		if c.name == spec.Cluster {
			cluster = c
		}
	}
	if spec.Host == "" {
		s.next++
		return cluster, cluster.hosts[s.next%len(cluster.hosts)], nil
	}
	for i, name := range cluster.names {
		if name == spec.Host {
			return cluster, cluster.hosts[i], nil
		}
	}
	return nil, nil, fmt.Errorf("no host %q in cluster %q", spec.Host, cluster.name)
}

func (b *builder) snapshots(vm *simulator.VirtualMachine, wanted []Snapshot) error {
	for _, s := range wanted {
		bg, proxy := context.Background(), object.NewVirtualMachine(b.client, vm.Self)
		task, err := proxy.CreateSnapshot(bg, s.Name, s.Description, false, false)
		if err != nil {
			return err
		}
		if err := task.Wait(bg); err != nil {
			return err
		}
	}
	return nil
}

// dress sets what creating a VM leaves out. The two states are "" otherwise, which pyvmomi cannot read.
func dress(vm *simulator.VirtualMachine, spec Machine, cluster *compute) {
	for _, runtime := range []*types.VirtualMachineRuntimeInfo{&vm.Runtime, &vm.Summary.Runtime} {
		runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
		if spec.FaultTolerance {
			runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateRunning
		}
		runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
		runtime.ConsolidationNeeded = spec.ConsolidationNeeded
		runtime.PowerState = types.VirtualMachinePowerState(spec.Power)
		if spec.Power == "poweredOn" {
			runtime.BootTime = types.NewTime(time.Now().Add(-24 * time.Hour))
		}
	}
	vm.Name, vm.Config.Name, vm.Summary.Config.Name = escape(spec.Name), escape(spec.Name), escape(spec.Name)
	vm.Config.ChangeTrackingEnabled = types.NewBool(false)
	limit(vm.Config.CpuAllocation, spec.CPULimitMHz)
	limit(vm.Config.MemoryAllocation, spec.MemoryLimitMiB)
	if spec.ManagedBy != "" {
		vm.Config.ManagedBy = &types.ManagedByInfo{ExtensionKey: spec.ManagedBy, Type: "instance"}
		vm.Summary.Config.ManagedBy = vm.Config.ManagedBy
	}
	if spec.Template {
		vm.Config.Template, vm.Summary.Config.Template, vm.ResourcePool = true, true, nil
	}
	if spec.RestartPriority != "" {
		config := cluster.mo.ConfigurationEx.(*types.ClusterConfigInfoEx)
		config.DasVmConfig = append(config.DasVmConfig, types.ClusterDasVmConfigInfo{
			Key: vm.Self, DasSettings: &types.ClusterDasVmSettings{RestartPriority: spec.RestartPriority},
		})
	}
	dressGuest(vm, spec)
}

func dressGuest(vm *simulator.VirtualMachine, spec Machine) {
	guest := vm.Guest
	guest.GuestFamily, guest.GuestFullName, guest.GuestId = spec.GuestFamily, spec.GuestFullName, spec.GuestID
	vm.Config.GuestFullName, vm.Summary.Config.GuestFullName = spec.GuestFullName, spec.GuestFullName
	guest.GuestState = string(types.VirtualMachineGuestStateNotRunning)
	if spec.ToolsRunning {
		guest.HostName = strings.ToLower(strings.ReplaceAll(spec.Name, " ", "-"))
		guest.GuestState = string(types.VirtualMachineGuestStateRunning)
		guest.ToolsStatus = types.VirtualMachineToolsStatusToolsOk
		guest.ToolsRunningStatus = string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	}
	vm.Summary.Guest = &types.VirtualMachineGuestSummary{
		GuestId: guest.GuestId, GuestFullName: guest.GuestFullName, HostName: guest.HostName,
		ToolsStatus: guest.ToolsStatus, ToolsRunningStatus: guest.ToolsRunningStatus,
	}
}

func limit(allocation *types.ResourceAllocationInfo, value int64) {
	if value > 0 {
		allocation.Limit = types.NewInt64(value)
	}
}
