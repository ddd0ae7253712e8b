package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// specVersion is the version of the file's format; another one is refused.
const specVersion = 1

// Spec says how one service is run. The words and their meaning are systemd's (systemd.service(5),
// systemd.exec(5), systemd.kill(5), systemd.socket(5)); times are seconds, 0 means without limit.
type Spec struct {
	Version int    `json:"version"`
	Service string `json:"service"`
	// Type is simple, exec, notify, dbus, idle, forking or oneshot.
	Type string `json:"type"`

	// Before holds what other units do first that this one requires, each as its own user.
	Before    []Command `json:"before"`
	StartPre  []Command `json:"start_pre"`
	Start     []Command `json:"start"`
	StartPost []Command `json:"start_post"`
	Reload    []Command `json:"reload"`
	Stop      []Command `json:"stop"`
	StopPost  []Command `json:"stop_post"`

	PIDFile string `json:"pid_file"`
	// Paths are made, in this order, at every start: /run is empty then.
	Paths []Path `json:"paths"`
	// Remove names what an earlier run may have left: PID files and sockets.
	Remove  []string `json:"remove"`
	Sockets []Socket `json:"sockets"`
	// DevLog is whether /dev/log is answered here, its messages going to standard error.
	DevLog bool `json:"dev_log"`
	// MachineID is whether an empty /etc/machine-id gets a number of the container's own.
	MachineID bool `json:"machine_id"`
	// SecretEnvironment names a file with variables that the image must not hold: an object of JSON.
	SecretEnvironment string `json:"secret_environment"`

	Execution Execution `json:"execution"`

	StartSeconds float64 `json:"start_seconds"`
	StopSeconds  float64 `json:"stop_seconds"`
	KillSignal   string  `json:"kill_signal"`
	FinalSignal  string  `json:"final_signal"`
	// KillMode is control-group, mixed, process or none.
	KillMode string `json:"kill_mode"`
	SendHUP  bool   `json:"send_hup"`
	// SuccessStatus holds exit codes and signal names that count as success beside 0.
	SuccessStatus []string `json:"success_status"`
}

// Command is one command line of a unit.
type Command struct {
	Words []string `json:"words"`
	// Name is argv[0] where it is not the program ("@").
	Name string `json:"name"`
	// Expand is whether variables in the words are replaced, as systemd does and a shell does not.
	Expand bool `json:"expand"`
	// MayFail is "-": a failure is told and passed over.
	MayFail bool `json:"may_fail"`
	// Privileged is "+" or "!": the command runs as root.
	Privileged bool `json:"privileged"`
	// Execution of a command in Before, which has a unit of its own; else the service's.
	Execution *Execution `json:"execution"`
}

// Execution is in which surroundings commands run.
type Execution struct {
	User             string            `json:"user"`
	Group            string            `json:"group"`
	Supplementary    []string          `json:"supplementary_groups"`
	UMask            string            `json:"umask"`
	WorkingDirectory string            `json:"working_directory"`
	WorkingOptional  bool              `json:"working_directory_optional"`
	Environment      map[string]string `json:"environment"`
	Unset            []string          `json:"unset_environment"`
	// Limits are resource limits by setrlimit(2)'s name without RLIMIT_; -1 is infinity.
	Limits map[string]Limit `json:"limits"`
	// Ambient capabilities are given to the service; Bounding, if not null, are all it can ever get.
	Ambient         []string `json:"ambient_capabilities"`
	Bounding        []string `json:"bounding_capabilities"`
	NoNewPrivileges bool     `json:"no_new_privileges"`
	Nice            int      `json:"nice"`
	OOMScoreAdjust  int      `json:"oom_score_adjust"`
	// StandardInput is null, socket or inherit.
	StandardInput string `json:"standard_input"`
}

// Limit is a soft and a hard limit.
type Limit struct {
	Soft int64 `json:"soft"`
	Hard int64 `json:"hard"`
}

// Path is one line of tmpfiles.d(5).
type Path struct {
	// Kind is directory, file, symlink or fifo.
	Kind   string `json:"kind"`
	Path   string `json:"path"`
	Mode   string `json:"mode"`
	User   string `json:"user"`
	Group  string `json:"group"`
	Text   string `json:"text"`
	Target string `json:"target"`
	// Source is a file whose content a file gets at every start, in place of Text.
	Source string `json:"source"`
}

// Socket is one address of a socket unit.
type Socket struct {
	// Kind is stream, datagram, sequential or fifo.
	Kind string `json:"kind"`
	// Address is a path, "@name", "PORT", "IPv4:PORT" or "[IPv6]:PORT".
	Address  string `json:"address"`
	Name     string `json:"name"`
	IPv6Only string `json:"bind_ipv6_only"`
	Backlog  int    `json:"backlog"`
	Mode     string `json:"mode"`
	User     string `json:"user"`
	Group    string `json:"group"`
	// Accept is whether each connection starts the command anew; MaxConnections bounds how many at once.
	Accept         bool `json:"accept"`
	MaxConnections int  `json:"max_connections"`
	ReusePort      bool `json:"reuse_port"`
	FreeBind       bool `json:"free_bind"`
}

// load reads and checks a specification.
func load(path string) (*Spec, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the service's specification: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	spec := &Spec{Type: "simple", StartSeconds: 90, StopSeconds: 90, KillSignal: "SIGTERM",
		FinalSignal: "SIGKILL", KillMode: "control-group"}
	if err := decoder.Decode(spec); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := spec.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return spec, nil
}

func (spec *Spec) check() error {
	if spec.Version != specVersion {
		return fmt.Errorf("version %d of the specification; this init understands %d", spec.Version, specVersion)
	}
	switch spec.Type {
	case "simple", "exec", "notify", "dbus", "idle", "forking":
		if len(spec.Start) != 1 {
			return fmt.Errorf("type %s has one command to start, not %d", spec.Type, len(spec.Start))
		}
	case "oneshot":
		if len(spec.Start) == 0 {
			return fmt.Errorf("there is no command to start")
		}
	default:
		return fmt.Errorf("unknown type %q", spec.Type)
	}
	switch spec.KillMode {
	case "control-group", "mixed", "process", "none":
	default:
		return fmt.Errorf("unknown kill mode %q", spec.KillMode)
	}
	for _, name := range []string{spec.KillSignal, spec.FinalSignal} {
		if signalNumber(name) == 0 {
			return fmt.Errorf("unknown signal %q", name)
		}
	}
	return spec.checkCommands()
}

func (spec *Spec) checkCommands() error {
	for _, list := range [][]Command{spec.Before, spec.StartPre, spec.Start, spec.StartPost, spec.Reload,
		spec.Stop, spec.StopPost} {
		for _, command := range list {
			if len(command.Words) == 0 || !filepath.IsAbs(command.Words[0]) {
				return fmt.Errorf("a command begins with the path of its program: %q", command.Words)
			}
			if err := spec.executionOf(command).check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// executionOf is in which surroundings a command runs.
func (spec *Spec) executionOf(command Command) *Execution {
	if command.Execution != nil {
		return command.Execution
	}
	return &spec.Execution
}

func (execution *Execution) check() error {
	for name := range execution.Limits {
		if _, known := limitNumbers[name]; !known {
			return fmt.Errorf("unknown limit %q", name)
		}
	}
	for _, list := range [][]string{execution.Ambient, execution.Bounding} {
		for _, name := range list {
			if _, known := capabilityNumbers[name]; !known {
				return fmt.Errorf("unknown capability %q", name)
			}
		}
	}
	switch execution.StandardInput {
	case "", "null", "socket", "inherit":
	default:
		return fmt.Errorf("unknown standard input %q", execution.StandardInput)
	}
	_, err := octal(execution.UMask, 0o022)
	return err
}

// octal reads a mode; the empty text is the default.
func octal(text string, otherwise uint32) (uint32, error) {
	if text == "" {
		return otherwise, nil
	}
	value, err := strconv.ParseUint(text, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("%q is no octal mode", text)
	}
	return uint32(value), nil
}

// seconds turns a time of the specification into a duration; 0, no limit, becomes a century.
func seconds(value float64) time.Duration {
	if value <= 0 {
		return 100 * 365 * 24 * time.Hour
	}
	return time.Duration(value * float64(time.Second))
}
