package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// descriptor is a disk's as ESXi writes it (VMware's "Virtual Disk Format 5.0").
const descriptor = `# Disk DescriptorFile
version=1
encoding="UTF-8"
CID=fffffffe
parentCID=ffffffff
createType="vmfs"

# Extent description
RW %d VMFS "%s"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "19"
`

// diskFiles knows which file holds the bytes of each virtual disk.
type diskFiles struct {
	mutex sync.Mutex
	paths map[diskID]string
}

type diskID struct {
	vm  types.ManagedObjectReference
	key int32 // of the device
}

func newDiskFiles() *diskFiles {
	return &diskFiles{paths: map[diskID]string{}}
}

func (d *diskFiles) path(vm types.ManagedObjectReference, key int32) string {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.paths[diskID{vm, key}]
}

// devices are the changes that give a new VM its controller and disks; base is the path of its files.
func devices(base string, disks []Disk) ([]types.BaseVirtualDeviceConfigSpec, error) {
	var list object.VirtualDeviceList
	controller, err := list.CreateSCSIController("pvscsi")
	if err != nil {
		return nil, err
	}
	list = append(list, controller)
	for i, spec := range disks {
		capacity, err := spec.capacity()
		if err != nil {
			return nil, err
		}
		name := base + ".vmdk"
		if i > 0 {
			name = fmt.Sprintf("%s_%d.vmdk", base, i)
		}
		disk := list.CreateDisk(controller.(types.BaseVirtualController), types.ManagedObjectReference{}, name)
		disk.CapacityInKB = (capacity + 1023) / 1024
		disk.CapacityInBytes = capacity
		list = append(list, disk)
	}
	return list.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
}

// capacity is the disk's size in bytes: what the fleet says, else what a streamOptimized VMDK's header says
// (Virtual Disk Format 5.0, SparseExtentHeader: sectors of 512 bytes at offset 12), else the file's size.
func (d Disk) capacity() (int64, error) {
	if d.Capacity > 0 || d.Path == "" {
		return d.Capacity, nil
	}
	file, err := os.Open(d.Path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	header := make([]byte, 20)
	if _, err := io.ReadFull(file, header); err == nil && bytes.HasPrefix(header, []byte("KDMV")) {
		return int64(binary.LittleEndian.Uint64(header[12:])) * 512, nil
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// attach puts the files behind a new VM's disks and sets the kinds of backing that creating one cannot give.
func (d *diskFiles) attach(ctx *simulator.Context, vm *simulator.VirtualMachine, specs []Disk) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for i, device := range virtualDisks(vm.Config) {
		spec := specs[i]
		// In kilobytes only, a size that is no multiple of 1024 is lost.
		if capacity, err := spec.capacity(); err == nil {
			device.CapacityInBytes = capacity
		}
		if spec.Path != "" {
			d.paths[diskID{vm.Self, device.Key}] = spec.Path
			if err := lay(spec, datastoreFile(ctx, device), device.CapacityInBytes); err != nil {
				return err
			}
		}
		setBacking(device, spec)
	}
	vm.RefreshStorageInfo(ctx, nil)
	return nil
}

// lay puts a disk's files on its datastore; name is its descriptor's. What an export gives lies there in place of
// the descriptor where nothing else is given.
func lay(spec Disk, name string, capacity int64) error {
	for _, file := range spec.Files {
		if err := replaceByLink(file[1], path.Join(path.Dir(name), file[0])); err != nil {
			return err
		}
	}
	if spec.Flat == "" {
		return replaceByLink(spec.Path, name)
	}
	flat := strings.TrimSuffix(name, ".vmdk") + "-flat.vmdk"
	if err := replaceByLink(spec.Flat, flat); err != nil {
		return err
	}
	text := fmt.Sprintf(descriptor, capacity/512, path.Base(flat))
	return os.WriteFile(name, []byte(text), 0o600)
}

// setBacking comes after creation: the simulator does not create raw device mappings.
func setBacking(device *types.VirtualDisk, spec Disk) {
	flat := device.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	flat.ThinProvisioned = types.NewBool(true)
	if spec.Mode != "" {
		flat.DiskMode = spec.Mode
	}
	if spec.MultiWriter {
		flat.Sharing = string(types.VirtualDiskSharingSharingMultiWriter)
	}
	if spec.PhysicalRDM {
		device.Backing = &types.VirtualDiskRawDiskMappingVer1BackingInfo{
			VirtualDeviceFileBackingInfo: flat.VirtualDeviceFileBackingInfo,
			CompatibilityMode:            string(types.VirtualDiskCompatibilityModePhysicalMode),
			DiskMode:                     flat.DiskMode,
			LunUuid:                      flat.Uuid,
			DeviceName:                   fmt.Sprintf("vml.%08x", device.Key),
		}
	}
}

func virtualDisks(config *types.VirtualMachineConfigInfo) []*types.VirtualDisk {
	var disks []*types.VirtualDisk
	for _, device := range config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			disks = append(disks, disk)
		}
	}
	return disks
}

// datastoreFile is where a disk's descriptor lies in the file system of this machine.
func datastoreFile(ctx *simulator.Context, disk *types.VirtualDisk) string {
	backing := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo).GetVirtualDeviceFileBackingInfo()
	return datastorePath(ctx, *backing.Datastore, backing.FileName)
}

func datastorePath(ctx *simulator.Context, store types.ManagedObjectReference, name string) string {
	var p object.DatastorePath
	p.FromString(name)
	return path.Join(ctx.Map.Get(store).(*simulator.Datastore).Summary.Url, p.Path)
}

func replaceByLink(target, link string) error {
	if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(target, link)
}
