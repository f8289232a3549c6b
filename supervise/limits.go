package supervise

import (
	"fmt"
	"strconv"
)

// limited says of each limit what enforces it.
func limited(l Limits, controllers map[string]bool, why string, otherUser bool) (all []Limited) {
	if l.Memory > 0 {
		lim := Limited{Name: "memory", Max: strconv.FormatUint(l.Memory, 10) + " bytes", By: "control group"}
		if !controllers["memory"] {
			lim.By, lim.Note = "watched every 2 s", why
		}
		all = append(all, lim)
	}
	if l.CPU > 0 {
		lim := Limited{Name: "cpu", Max: fmt.Sprintf("%g cores", l.CPU), By: "control group"}
		if !controllers["cpu"] {
			lim.By, lim.Note = "", "not enforced: "+why
		}
		all = append(all, lim)
	}
	if l.Files > 0 {
		all = append(all, Limited{Name: "files", Max: fmt.Sprintf("%d in each process", l.Files), By: "rlimit"})
	}
	if l.Processes > 0 {
		lim := Limited{Name: "processes", Max: strconv.FormatUint(l.Processes, 10), By: "control group"}
		switch {
		case controllers["pids"]:
		case otherUser:
			lim.By, lim.Note = "rlimit", "counted over all processes of the user; "+why
		default:
			lim.By, lim.Note = "", "not enforced: "+why
		}
		all = append(all, lim)
	}
	return all
}
