package main

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

const chunk = 64 << 10

// Download makes the downloads of a VM's disks slow or incomplete.
type Download struct {
	VM       string `json:"vm"`        // name as people see it; empty: any
	CutAfter int64  `json:"cut_after"` // bytes after which the connection breaks; 0: never
	EndAfter int64  `json:"end_after"` // bytes after which the answer ends as if it were whole; 0: never
	FlipAt   int64  `json:"flip_at"`   // position of a byte that is damaged on the way; 0: none
	Rate     int64  `json:"rate"`      // bytes a second; 0: as fast as it goes
	Status   int    `json:"status"`    // HTTP status instead of the disk; 0: none
	Count    int    `json:"count"`     // how many downloads are hit; 0: all

	hits int
}

type downloadBook struct {
	mutex sync.Mutex
	rules []*Download
}

// take gives what is to happen to a download that begins now; the rate is asked for again at every chunk, so
// that clearing the rules lets a slow download go on at full speed.
func (b *downloadBook) take(vm string) (*Download, bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, rule := range b.rules {
		if (rule.VM != "" && rule.VM != vm) || (rule.Count > 0 && rule.hits == rule.Count) {
			continue
		}
		rule.hits++
		return rule, true
	}
	return nil, false
}

func (b *downloadBook) set(rules []Download) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, old := range b.rules {
		old.Rate = 0
	}
	b.rules = nil
	for i := range rules {
		b.rules = append(b.rules, &rules[i])
	}
}

func (b *downloadBook) rate(rule *Download) int64 {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return rule.Rate
}

// serveDownload gives a disk as ESXi does: chunked, without a length, without ranges.
func (vc *vcenter) serveDownload(w http.ResponseWriter, r *http.Request) {
	vc.leases.mutex.Lock()
	lease := vc.leases.open[r.PathValue("token")]
	vc.leases.mutex.Unlock()
	if lease == nil {
		http.NotFound(w, r)
		return
	}
	name := r.PathValue("name")
	path, known := lease.files[name]
	if !known {
		http.NotFound(w, r)
		return
	}
	rule, hit := vc.downloads.take(lease.vmName)
	if !hit {
		rule = &Download{}
	}
	if rule.Status != 0 {
		http.Error(w, http.StatusText(rule.Status), rule.Status)
		return
	}
	w.Header().Set("Content-Type", "application/x-vnd.vmware-streamVmdk")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // from here on the answer is chunked
	if path == "" {
		return
	}
	file, err := os.Open(path)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer file.Close()
	vc.send(w, file, lease, name, rule)
}

func (vc *vcenter) send(w io.Writer, file io.Reader, lease *HttpNfcLease, name string, rule *Download) {
	buffer := make([]byte, chunk)
	for total := int64(0); ; {
		select {
		case <-lease.ended:
			panic(http.ErrAbortHandler) // closes the connection in the middle of the disk
		default:
		}
		want := int64(chunk)
		if rule.EndAfter > 0 {
			if want = min(want, rule.EndAfter-total); want == 0 {
				return
			}
		}
		if rule.CutAfter > 0 {
			if want = min(want, rule.CutAfter-total); want == 0 {
				panic(http.ErrAbortHandler)
			}
		}
		n, err := file.Read(buffer[:want])
		if n > 0 {
			if at := rule.FlipAt - total; rule.FlipAt > 0 && 0 <= at && at < int64(n) {
				buffer[at] ^= 0xff
			}
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			total += int64(n)
			vc.leases.mutex.Lock()
			lease.sent[name] += int64(n)
			vc.leases.mutex.Unlock()
			if rate := vc.downloads.rate(rule); rate > 0 {
				time.Sleep(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
			}
		}
		if err != nil {
			return
		}
	}
}
