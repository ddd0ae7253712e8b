package main

import (
	"net/http"
	"os"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
)

// datastorePrivileges are what reading a datastore's files takes.
var datastorePrivileges = []string{"Datastore.Browse", "Datastore.FileManagement"}

// readBook counts what was read of datastores.
type readBook struct {
	Requests atomic.Int64
	Bytes    atomic.Int64
}

type countingWriter struct {
	http.ResponseWriter
	book *readBook
	rate float64
}

func (c countingWriter) Write(data []byte) (int, error) {
	n, err := c.ResponseWriter.Write(data)
	c.book.Bytes.Add(int64(n))
	if c.rate > 0 {
		time.Sleep(seconds(float64(n) / c.rate))
	}
	return n, err
}

// serveDatastore gives a datastore's files under /folder, as vCenter does: to a session or a name and password.
func (vc *vcenter) serveDatastore(w http.ResponseWriter, r *http.Request) {
	if !vc.authenticated(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware vCenter server"`)
		http.Error(w, "not authenticated", http.StatusUnauthorized)
		return
	}
	for _, denied := range vc.currentSettings().DeniedPrivileges {
		if slices.Contains(datastorePrivileges, denied) {
			http.Error(w, "permission denied", http.StatusForbidden)
			return
		}
	}
	vc.reads.Requests.Add(1)
	query := r.URL.Query()
	for _, entity := range vc.ctx.Map.All("Datastore") {
		store := entity.(*simulator.Datastore)
		if store.Name != query.Get("dsName") || vc.datacenterPath(store) != query.Get("dcPath") {
			continue
		}
		file, err := os.Open(path.Join(store.Summary.Url, path.Clean("/"+r.PathValue("path"))))
		if err != nil {
			break
		}
		defer file.Close()
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			http.ServeContent(countingWriter{w, &vc.reads, vc.currentSettings().DatastoreRate}, r, "", info.ModTime(), file)
			return
		}
		break
	}
	http.NotFound(w, r)
}

func (vc *vcenter) authenticated(r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok {
		expected, _ := vc.login.Password()
		return user == vc.login.Username() && password == expected
	}
	cookie, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return false
	}
	for _, session := range vc.sessions() {
		if session.Key == cookie.Value {
			return true
		}
	}
	return false
}

// datacenterPath is the inventory path of the datacenter an object is in, as dcPath names it: "folder/DC0".
func (vc *vcenter) datacenterPath(entity mo.Entity) string {
	result, below := "", false
	for parent := entity.Entity().Parent; parent != nil; {
		e, ok := vc.ctx.Map.Get(*parent).(mo.Entity)
		if !ok || e.Entity().Parent == nil { // the root folder has no name in a path
			break
		}
		below = below || parent.Type == "Datacenter"
		if below {
			result = path.Join(e.Entity().Name, result)
		}
		parent = e.Entity().Parent
	}
	return result
}
