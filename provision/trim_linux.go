package provision

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dropText takes the pages of the program's own code out of the process: starting touches most of them, idling next to none, and
// those that are needed again come back from the page cache by themselves. Only pages that are as they stand in the file can go; a
// program that is relocated when it starts (PIE) has changed some of those that look so, and keeps all.
func dropText() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	kind := f.Type
	f.Close()
	if kind != elf.ET_EXEC {
		return fmt.Errorf("the program is of type %v", kind)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	for s := bufio.NewScanner(maps); s.Scan(); {
		from, to, ok := textOf(s.Text(), exe)
		if !ok {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return errno
		}
	}
	return nil
}

// textOf reads a line of /proc/self/maps and reports whether it is of the program's file and cannot be written:
//
//	00400000-00a1f000 r-xp 00000000 fe:00 1234   /usr/bin/iod
func textOf(line, exe string) (from, to uintptr, ok bool) {
	f := strings.Fields(line)
	if len(f) != 6 || f[5] != exe || f[1] != "r-xp" && f[1] != "r--p" {
		return 0, 0, false
	}
	lo, hi, _ := strings.Cut(f[0], "-")
	a, err1 := strconv.ParseUint(lo, 16, 64)
	b, err2 := strconv.ParseUint(hi, 16, 64)
	if err1 != nil || err2 != nil || b <= a {
		return 0, 0, false
	}
	return uintptr(a), uintptr(b), true
}
