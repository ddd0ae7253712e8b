package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// Fleet is what the vCenter holds when it starts. Names are as people see them: "/" is escaped here.
type Fleet struct {
	Settings    Settings     `json:"settings"`
	Datacenters []Datacenter `json:"datacenters"`
}

type Datacenter struct {
	Name       string      `json:"name"`
	Folders    []string    `json:"folders"` // above the datacenter, outermost first
	Datastores []Datastore `json:"datastores"`
	Clusters   []Cluster   `json:"clusters"`
	Machines   []Machine   `json:"vms"`
	// EmptyMachines is how many powered-on VMs with an empty disk are made beside the others.
	EmptyMachines int `json:"empty_vms"`
}

type Datastore struct {
	Name     string `json:"name"`
	Type     string `json:"type"`     // VMFS, NFS, vsan…
	Capacity int64  `json:"capacity"` // bytes
	Free     int64  `json:"free"`     // bytes
}

type Cluster struct {
	Name            string `json:"name"`
	RestartPriority string `json:"restart_priority"` // what VMs without an override have
	Hosts           []Host `json:"hosts"`
}

type Host struct {
	Name   string `json:"name"`
	CPUMHz int32  `json:"cpu_mhz"` // clock of one core
}

type Machine struct {
	Name                string     `json:"name"`
	Folders             []string   `json:"folders"` // in the datacenter's VM folder, outermost first
	Cluster             string     `json:"cluster"` // empty: the first
	Host                string     `json:"host"`    // empty: in turn
	Datastore           string     `json:"datastore"`
	GuestID             string     `json:"guest_id"`
	GuestFamily         string     `json:"guest_family"` // empty: VMware Tools never ran
	GuestFullName       string     `json:"guest_full_name"`
	CPUs                int32      `json:"cpus"`
	MemoryMiB           int64      `json:"memory_mib"`
	CPULimitMHz         int64      `json:"cpu_limit_mhz"`    // 0: unlimited
	MemoryLimitMiB      int64      `json:"memory_limit_mib"` // 0: unlimited
	RestartPriority     string     `json:"restart_priority"` // empty: the cluster's
	Power               string     `json:"power"`            // poweredOn, poweredOff, suspended
	ToolsRunning        bool       `json:"tools_running"`
	Template            bool       `json:"template"`
	Annotation          string     `json:"annotation"`
	ManagedBy           string     `json:"managed_by"`
	ConsolidationNeeded bool       `json:"consolidation_needed"`
	FaultTolerance      bool       `json:"fault_tolerance"`
	Disks               []Disk     `json:"disks"`
	Snapshots           []Snapshot `json:"snapshots"` // a chain, oldest first
}

type Disk struct {
	Path        string `json:"path"` // file whose bytes an export serves; empty: an empty file
	Flat        string `json:"flat"` // raw image that lies on the datastore as name-flat.vmdk, with a descriptor
	Capacity    int64  `json:"capacity"`
	Mode        string `json:"mode"`
	PhysicalRDM bool   `json:"physical_rdm"`
	MultiWriter bool   `json:"multi_writer"`

	Files [][2]string `json:"files"` // what else lies beside it on the datastore: name, and file of this machine
}

type Snapshot struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Settings change how the vCenter behaves; the control endpoint sets them at run time.
type Settings struct {
	LeaseTimeout    float64 `json:"lease_timeout"`    // seconds without progress until a lease ends
	LeaseInitialize float64 `json:"lease_initialize"` // seconds until a new lease is ready
	WildcardHost    bool    `json:"wildcard_host"`    // device URLs hold "*" for the host, as ESXi gives them
	FileSize        bool    `json:"file_size"`        // whether a lease says how large a disk is on the wire
	Thumbprint      string  `json:"thumbprint"`       // server, none or wrong: what device URLs pin
	PageSize        int32   `json:"page_size"`        // objects that an answer holds at most; 0: as many as asked for
	Latency         float64 `json:"latency"`          // seconds that every call waits first
	DeltaDisks      bool    `json:"delta_disks"`      // whether a VM goes on in other files once it has a snapshot
	DatastoreRate   float64 `json:"datastore_rate"`   // bytes a second of each read of a datastore; 0: as fast as it goes
	// DeniedPrivileges are what the account lacks: queries say so, and calls that need them fail.
	DeniedPrivileges []string `json:"denied_privileges"`
}

func defaultSettings() Settings {
	return Settings{LeaseTimeout: 300, LeaseInitialize: 0.05, FileSize: true, Thumbprint: "server", DeltaDisks: true}
}

func readFleet(path string) (*Fleet, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	fleet := &Fleet{Settings: defaultSettings()}
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(fleet); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, dc := range fleet.Datacenters {
		if len(dc.Datastores) == 0 || len(dc.Clusters) == 0 || len(dc.Clusters[0].Hosts) == 0 {
			return nil, fmt.Errorf("%s: datacenter %q needs a datastore and a cluster with a host", path, dc.Name)
		}
	}
	return fleet, nil
}
