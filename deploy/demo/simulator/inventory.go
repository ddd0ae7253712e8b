package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// builder fills the inventory through an in-process client, before any other client is served.
type builder struct {
	ctx    *simulator.Context
	client *vim25.Client
	data   string // folder for the datastores
}

// site is one datacenter while it is being filled.
type site struct {
	spec     Datacenter
	vmFolder *object.Folder
	folders  map[string]*object.Folder
	clusters []*compute
	taken    map[string]bool // datastore and folder of the VMs so far
	next     int             // host for the next VM that names none
}

type compute struct {
	name  string
	mo    *simulator.ClusterComputeResource
	pool  *object.ResourcePool
	hosts []*object.HostSystem
	names []string
}

func (b *builder) datacenter(spec Datacenter) (*site, error) {
	bg := context.Background()
	parent, err := b.nested(object.NewRootFolder(b.client), spec.Folders)
	if err != nil {
		return nil, err
	}
	dc, err := parent.CreateDatacenter(bg, spec.Name)
	if err != nil {
		return nil, fmt.Errorf("datacenter %q: %w", spec.Name, err)
	}
	folders, err := dc.Folders(bg)
	if err != nil {
		return nil, err
	}
	s := &site{
		spec: spec, vmFolder: folders.VmFolder, taken: map[string]bool{},
		folders: map[string]*object.Folder{"": folders.VmFolder},
	}
	for _, cluster := range spec.Clusters {
		c, err := b.cluster(folders.HostFolder, cluster)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", cluster.Name, err)
		}
		s.clusters = append(s.clusters, c)
	}
	for i, store := range spec.Datastores {
		if err := b.datastore(s, i, store); err != nil {
			return nil, fmt.Errorf("datastore %q: %w", store.Name, err)
		}
	}
	return s, nil
}

// nested gives the folder at the end of a path, making what is missing.
func (b *builder) nested(folder *object.Folder, names []string) (*object.Folder, error) {
	for _, name := range names {
		children, err := folder.Children(context.Background())
		if err != nil {
			return nil, err
		}
		var found *object.Folder
		for _, child := range children {
			if f, ok := child.(*object.Folder); ok && b.name(f.Reference()) == escape(name) {
				found = f
			}
		}
		if found == nil {
			if found, err = folder.CreateFolder(context.Background(), name); err != nil {
				return nil, fmt.Errorf("folder %q: %w", name, err)
			}
		}
		folder = found
	}
	return folder, nil
}

func (b *builder) name(ref types.ManagedObjectReference) string {
	return b.ctx.Map.Get(ref).(*simulator.Folder).Name
}

func (b *builder) cluster(folder *object.Folder, spec Cluster) (*compute, error) {
	bg := context.Background()
	cluster, err := folder.CreateCluster(bg, spec.Name, types.ClusterConfigSpecEx{})
	if err != nil {
		return nil, err
	}
	pool, err := cluster.ResourcePool(bg)
	if err != nil {
		return nil, err
	}
	c := &compute{name: spec.Name, pool: pool}
	c.mo = b.ctx.Map.Get(cluster.Reference()).(*simulator.ClusterComputeResource)
	for _, h := range spec.Hosts {
		task, err := cluster.AddHost(bg, types.HostConnectSpec{HostName: h.Name}, true, nil, nil)
		if err != nil {
			return nil, err
		}
		info, err := task.WaitForResult(bg, nil)
		if err != nil {
			return nil, err
		}
		host := object.NewHostSystem(b.client, info.Result.(types.ManagedObjectReference))
		setClock(b.ctx.Map.Get(host.Reference()).(*simulator.HostSystem), h.CPUMHz)
		c.hosts, c.names = append(c.hosts, host), append(c.names, h.Name)
	}
	// ReconfigureComputeResource_Task ignores defaultVmSettings, so both are set here.
	config := c.mo.ConfigurationEx.(*types.ClusterConfigInfoEx)
	config.DasConfig.Enabled = types.NewBool(true)
	config.DasConfig.DefaultVmSettings = &types.ClusterDasVmSettings{RestartPriority: spec.RestartPriority}
	return c, nil
}

// setClock gives a host its own clock: hosts share their template's hardware values.
func setClock(host *simulator.HostSystem, mhz int32) {
	if mhz == 0 {
		return
	}
	summary := *host.Summary.Hardware
	summary.CpuMhz = mhz
	host.Summary.Hardware = &summary
	if host.Hardware != nil {
		hardware := *host.Hardware
		hardware.CpuInfo.Hz = int64(mhz) * 1_000_000
		host.Hardware = &hardware
	}
}

func (b *builder) datastore(s *site, index int, spec Datastore) error {
	bg := context.Background()
	folder := filepath.Join(b.data, fmt.Sprintf("%s-%d", escape(s.spec.Name), index))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, c := range s.clusters {
		for _, host := range c.hosts {
			system, err := host.ConfigManager().DatastoreSystem(bg)
			if err != nil {
				return err
			}
			if _, err := system.CreateLocalDatastore(bg, spec.Name, folder); err != nil {
				return err
			}
		}
	}
	return nil
}

// finishDatastores sets sizes last, because creating VMs changes them.
func (b *builder) finishDatastores(s *site) {
	host := b.ctx.Map.Get(s.clusters[0].hosts[0].Reference()).(*simulator.HostSystem)
	for _, spec := range s.spec.Datastores {
		store := b.ctx.Map.FindByName(spec.Name, host.Datastore).(*simulator.Datastore)
		store.Summary.Type = spec.Type
		if spec.Capacity > 0 {
			store.Summary.Capacity, store.Summary.FreeSpace = spec.Capacity, spec.Free
			store.Info.GetDatastoreInfo().FreeSpace = spec.Free
		}
	}
}
