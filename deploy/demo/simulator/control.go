package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// control is the endpoint through which tests look behind the API and make things go wrong.
func (vc *vcenter) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /snapshots", answer(vc.snapshotList))
	mux.HandleFunc("GET /leases", answer(vc.leaseList))
	mux.HandleFunc("GET /datastore-reads", answer(func() any {
		return map[string]int64{"requests": vc.reads.Requests.Load(), "bytes": vc.reads.Bytes.Load()}
	}))
	mux.HandleFunc("GET /sessions", answer(vc.sessionList))
	mux.HandleFunc("GET /calls", answer(vc.callList))
	mux.HandleFunc("GET /vms", answer(vc.machineList))
	mux.HandleFunc("GET /settings", answer(func() any { return vc.currentSettings() }))
	mux.HandleFunc("DELETE /calls", func(http.ResponseWriter, *http.Request) {
		vc.calls.mutex.Lock()
		defer vc.calls.mutex.Unlock()
		vc.calls.counts = nil
	})
	mux.HandleFunc("DELETE /sessions", answer(func() any { return vc.endSessions() }))
	mux.HandleFunc("DELETE /rules", func(http.ResponseWriter, *http.Request) { vc.rules.clear() })
	mux.HandleFunc("POST /rules", accept(vc.rules.add))
	mux.HandleFunc("PUT /downloads", accept(func(rules []Download) error {
		vc.downloads.set(rules)
		return nil
	}))
	mux.HandleFunc("PATCH /settings", func(w http.ResponseWriter, r *http.Request) {
		vc.settingsMutex.Lock()
		defer vc.settingsMutex.Unlock()
		decodeInto(w, r, &vc.settings) // what the body leaves out stays
	})
	mux.HandleFunc("PATCH /vms", accept(vc.changeMachine))
	vc.moves(mux)
	mux.HandleFunc("POST /lease-failures", accept(vc.failLeases))
	vc.outages(mux)
	return mux
}

func answer(read func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(read())
	}
}

func accept[T any](apply func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var value T
		if !decodeInto(w, r, &value) {
			return
		}
		if err := apply(value); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}

func decodeInto(w http.ResponseWriter, r *http.Request, value any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

type machineState struct {
	Moref               string `json:"moref"`
	Name                string `json:"name"`
	Power               string `json:"power"`
	ConsolidationNeeded bool   `json:"consolidation_needed"`
}

func (vc *vcenter) machineList() any {
	list := []machineState{}
	for _, vm := range vc.machines() {
		ctx := *vc.ctx
		ctx.WithLock(vm, func() {
			list = append(list, machineState{
				vm.Self.Value, unescape(vm.Name), string(vm.Runtime.PowerState), vm.Runtime.ConsolidationNeeded,
			})
		})
	}
	return list
}

type machineChange struct {
	VM                  string `json:"vm"`
	ConsolidationNeeded *bool  `json:"consolidation_needed"`
}

func (vc *vcenter) changeMachine(change machineChange) error {
	vm := vc.machine(change.VM)
	if vm == nil {
		return fmt.Errorf("no VM %q", change.VM)
	}
	if change.ConsolidationNeeded != nil {
		vc.setConsolidationNeeded(vm, *change.ConsolidationNeeded)
	}
	return nil
}

type snapshotState struct {
	VM          string `json:"vm"`
	Moref       string `json:"moref"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Quiesced    bool   `json:"quiesced"`
}

func (vc *vcenter) snapshotList() any {
	list := []snapshotState{}
	var visit func(string, []types.VirtualMachineSnapshotTree)
	visit = func(vm string, tree []types.VirtualMachineSnapshotTree) {
		for _, node := range tree {
			list = append(list, snapshotState{vm, node.Snapshot.Value, node.Name, node.Description, node.Quiesced})
			visit(vm, node.ChildSnapshotList)
		}
	}
	for _, vm := range vc.machines() {
		ctx := *vc.ctx
		ctx.WithLock(vm, func() {
			if vm.Snapshot != nil {
				visit(unescape(vm.Name), vm.Snapshot.RootSnapshotList)
			}
		})
	}
	return list
}

type leaseState struct {
	VM      string           `json:"vm"`
	Moref   string           `json:"moref"`
	State   string           `json:"state"`
	Reports int              `json:"reports"`
	Sent    map[string]int64 `json:"sent"`
}

type leaseStates struct {
	Open      []leaseState `json:"open"`
	Made      int          `json:"made"`
	Completed int          `json:"completed"`
	Aborted   int          `json:"aborted"`
	Expired   int          `json:"expired"`
	Failed    int          `json:"failed"`
}

func (vc *vcenter) leaseList() any {
	vc.leases.mutex.Lock()
	defer vc.leases.mutex.Unlock()
	book := &vc.leases
	result := leaseStates{[]leaseState{}, book.Made, book.Completed, book.Aborted, book.Expired, book.Failed}
	for _, lease := range book.open {
		sent := map[string]int64{}
		for name, bytes := range lease.sent {
			sent[name] = bytes
		}
		result.Open = append(result.Open, leaseState{lease.vmName, lease.Self.Value, string(lease.State), lease.reports, sent})
	}
	slices.SortFunc(result.Open, func(a, b leaseState) int { return strings.Compare(a.VM+a.Moref, b.VM+b.Moref) })
	return result
}

type sessionState struct {
	User  string `json:"user"`
	Agent string `json:"agent"`
	Calls int64  `json:"calls"`
}

func (vc *vcenter) sessionList() any {
	list := []sessionState{}
	for _, session := range vc.sessions() {
		list = append(list, sessionState{session.UserName, session.UserAgent, session.CallCount})
	}
	return list
}

type callCount struct {
	Method string `json:"method"`
	Object string `json:"object"`
	Count  int    `json:"count"`
}

func (vc *vcenter) callList() any {
	vc.calls.mutex.Lock()
	defer vc.calls.mutex.Unlock()
	list := []callCount{}
	for c, n := range vc.calls.counts {
		list = append(list, callCount{c.method, c.object, n})
	}
	slices.SortFunc(list, func(a, b callCount) int { return strings.Compare(a.Method+a.Object, b.Method+b.Object) })
	return list
}
