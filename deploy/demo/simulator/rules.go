package main

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

// Rule makes calls fail, wait or get lost.
type Rule struct {
	// Stage is "call" for the call itself, "task" for the task it starts, "after" for that task when its work is
	// done, "reply" for the answer to the call.
	Stage  string `json:"stage"`
	Method string `json:"method"` // as in the API: CreateSnapshot_Task
	Object string `json:"object"` // moref or name of the object or of its VM; empty: any
	Fault  string `json:"fault"`  // vSphere's name of the fault; empty: none
	Drop   bool   `json:"drop"`   // close the connection without an answer
	// DelayMS is how long call or task waits first, in milliseconds; a cancelled task waits no longer.
	DelayMS      int64 `json:"delay_ms"`
	QuiescedOnly bool  `json:"quiesced_only"` // for snapshots: only those that ask for it
	Unmerged     bool  `json:"unmerged"`      // after: the VM's disks need consolidation
	Skip         int   `json:"skip"`          // how many matching calls pass first
	Count        int   `json:"count"`         // how many are hit; 0: all
}

type ruleBook struct {
	mutex sync.Mutex
	rules []*Rule
}

func (b *ruleBook) add(rule Rule) error {
	if !slices.Contains([]string{"call", "task", "after", "reply"}, rule.Stage) {
		return fmt.Errorf("stage %q is none of call, task, after, reply", rule.Stage)
	}
	if rule.Stage != "call" && replaced[rule.Method] == "" {
		return fmt.Errorf("stage %s is not possible for %s", rule.Stage, rule.Method)
	}
	if _, known := types.TypeFunc()(rule.Fault); rule.Fault != "" && !known {
		return fmt.Errorf("no vSphere fault is called %q", rule.Fault)
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.rules = append(b.rules, &rule)
	return nil
}

func (b *ruleBook) clear() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.rules = nil
}

// take gives the first rule that hits a call and counts the hit.
func (b *ruleBook) take(stage, method string, names []string, unless ...func(Rule) bool) (Rule, bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for i, rule := range b.rules {
		if rule.Stage != stage || rule.Method != method || (rule.Object != "" && !slices.Contains(names, rule.Object)) {
			continue
		}
		if slices.ContainsFunc(unless, func(f func(Rule) bool) bool { return f(*rule) }) {
			continue
		}
		if rule.Skip > 0 {
			rule.Skip--
			continue
		}
		if rule.Count > 0 {
			if rule.Count--; rule.Count == 0 {
				b.rules = slices.Delete(b.rules, i, i+1)
			}
		}
		return *rule, true
	}
	return Rule{}, false
}

// newFault makes a fault from its name. pyvmomi can read neither an empty reference nor one of another type, so
// references that a fault must have name the object of the call, or a task where they are about one.
func newFault(name string, this types.ManagedObjectReference) types.BaseMethodFault {
	kind, known := types.TypeFunc()(name)
	if !known {
		panic("no fault " + name) // add has checked it
	}
	value := reflect.New(kind)
	fillReferences(value.Elem(), this)
	fault, ok := value.Interface().(types.BaseMethodFault)
	if !ok {
		return &types.SystemError{Reason: name + " is not a fault"}
	}
	return fault
}

func fillReferences(value reflect.Value, this types.ManagedObjectReference) {
	for i := range value.NumField() {
		field := value.Field(i)
		switch {
		case field.Type() == reflect.TypeOf(this) && value.Type().Field(i).Name == "Task":
			field.Set(reflect.ValueOf(types.ManagedObjectReference{Type: "Task", Value: "task-0"}))
		case field.Type() == reflect.TypeOf(this):
			field.Set(reflect.ValueOf(this))
		case field.Kind() == reflect.Struct && value.Type().Field(i).Anonymous:
			fillReferences(field, this)
		}
	}
}
