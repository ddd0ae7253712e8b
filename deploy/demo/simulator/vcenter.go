package main

import (
	"crypto/sha1"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// vcenter is govmomi's simulator with our objects, rules and records around it.
type vcenter struct {
	service    *simulator.Service
	ctx        *simulator.Context // of no request: for timers and the control endpoint
	disks      *diskFiles
	calls      callCounts
	rules      ruleBook
	leases     leaseBook
	snapshots  snapshotFiles
	downloads  downloadBook
	reads      readBook
	tasks      taskBook
	api        *door
	hosts      hostDoors
	login      *url.Userinfo
	thumbprint string // SHA-1 of the server's certificate, AB:CD:…

	settingsMutex sync.Mutex
	settings      Settings
}

func newVCenter(model *simulator.Model, fleet *Fleet, data string) (*vcenter, error) {
	service := model.Service
	vc := &vcenter{service: service, ctx: service.Context, disks: newDiskFiles(), settings: fleet.Settings}
	// A session that is idle for this long ends, as in vCenter; the simulator has no such setting by default.
	options := vc.ctx.Map.OptionManager()
	options.Setting = append(options.Setting, &types.OptionValue{
		Key: "config.vmacore.soap.sessionTimeout", Value: (30 * time.Minute).String(),
	})
	// Otherwise a task that waits holds its VM's lock, and nobody can read the VM meanwhile.
	simulator.TaskDelay.MethodDelay = map[string]int{"LockHandoff": 0}
	vc.ctx.Map.Put(&replacements{Self: replacementsRef, vc: vc})
	vc.ctx.Map.Handler = vc.onCall

	client, err := vim25.NewClient(vc.ctx, service)
	if err != nil {
		return nil, err
	}
	b := &builder{ctx: vc.ctx, client: client, data: data}
	for _, spec := range fleet.Datacenters {
		site, err := b.datacenter(spec)
		if err != nil {
			return nil, err
		}
		if err := b.machines(site, vc.disks); err != nil {
			return nil, fmt.Errorf("datacenter %q: %w", spec.Name, err)
		}
		b.finishDatastores(site)
	}
	return vc, nil
}

// serve starts the vCenter API and gives its URL. The patterns with a method win over the simulator's own handlers.
func (vc *vcenter) serve(listen string, login *url.Userinfo, certificate tls.Certificate) (*url.URL, error) {
	vc.login = login
	digest := sha1.Sum(certificate.Certificate[0])
	vc.thumbprint = strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", digest[:])), " ", ":")
	vc.service.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	vc.service.Listen = &url.URL{Host: listen, User: login} // without a user, any name and password pass
	vc.service.RegisterEndpoints = true
	vc.service.ServeMux = http.NewServeMux()
	vc.service.ServeMux.HandleFunc("GET /folder/{path...}", vc.serveDatastore)
	server := vc.service.NewServer()
	server.Listener.Close() // from here on the door stands at this address: it can be shut and opened
	vc.api = &door{handler: vc.service.ServeMux, tls: server.TLS, address: server.Listener.Addr().String()}
	address := *server.URL
	address.User = nil
	return &address, vc.api.open()
}

func (vc *vcenter) currentSettings() Settings {
	vc.settingsMutex.Lock()
	defer vc.settingsMutex.Unlock()
	return vc.settings
}

// machine gives the VM with this name as people see it, or this moref.
func (vc *vcenter) machine(name string) *simulator.VirtualMachine {
	for _, vm := range vc.machines() {
		if vm.Name == escape(name) || vm.Self.Value == name {
			return vm
		}
	}
	return nil
}

func (vc *vcenter) machines() []*simulator.VirtualMachine {
	var all []*simulator.VirtualMachine
	for _, entity := range vc.ctx.Map.All("VirtualMachine") {
		all = append(all, entity.(*simulator.VirtualMachine))
	}
	slices.SortFunc(all, func(a, b *simulator.VirtualMachine) int { return strings.Compare(a.Self.Value, b.Self.Value) })
	return all
}

func (vc *vcenter) sessions() []types.UserSession {
	manager := vc.ctx.Map.SessionManager()
	return vc.ctx.Session.Get(manager.Self).(*simulator.SessionManager).SessionList
}

// endSessions logs every client out and gives how many there were.
func (vc *vcenter) endSessions() int {
	sessions := vc.sessions()
	for _, session := range sessions {
		vc.ctx.Map.SessionManager().TerminateSession(vc.ctx, &types.TerminateSession{SessionId: []string{session.Key}})
	}
	return len(sessions)
}
