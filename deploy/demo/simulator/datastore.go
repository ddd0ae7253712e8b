package main

import (
	"net/http"
	"os"
	"path"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
)

// serveDatastore gives a datastore's files under /folder, as vCenter does: to a session or a name and password.
func (vc *vcenter) serveDatastore(w http.ResponseWriter, r *http.Request) {
	if !vc.authenticated(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware vCenter server"`)
		http.Error(w, "not authenticated", http.StatusUnauthorized)
		return
	}
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
			http.ServeContent(w, r, "", info.ModTime(), file)
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
