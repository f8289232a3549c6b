#!/bin/bash
# Runs once in a Debian machine that has booted with systemd: installs the package, and has the service start, reload, crash, freeze, stop and go.
# Says "ok" or "not ok" of each thing, and turns the machine off.
exec > /dev/console 2>&1
export HOME=/root
ok() { # what, command…
	local what=$1
	shift
	if "$@"; then echo "ok: $what"; else echo "not ok: $what"; systemctl status iod --no-pager -l | tail -20; fi
}
property() { systemctl show -p "$1" --value iod; }
as_iod() { su -s /bin/sh iod -c "$1"; }
becomes() { # command: true within 40 s
	for _ in $(seq 80); do
		if eval "$1"; then return 0; fi
		sleep 0.5
	done
	return 1
}
no() { ! "$@"; }

ip link set lo up 2>/dev/null
ok "the package installs" dpkg -i /root/iod.deb
ok "it is enabled" systemctl is-enabled --quiet iod
systemctl start iod
ok "without a manifest it does not start, and does not fail" test "$(property ActiveState)$(property Result)" = inactivesuccess
systemd-run -q --unit=devchain /usr/local/bin/iod-full chain dev --listen 127.0.0.1:9944 --block-time 1s
systemd-run -q --unit=relay -p StandardOutput=file:/root/relay /usr/local/bin/iod-full relay --listen 127.0.0.1:7777
becomes 'grep -q tls:// /root/relay'
ok "init writes for the service" iod device init --system --data-type weather --target 127.0.0.1:1883 --topic 'measurements/#' \
	--relay "$(sed -n 's/^relay *//p' /root/relay)"
cat >> /etc/iod/device.toml <<'T'

[[program]]
name = "weather"
command = ["/usr/local/bin/weather", "--listen", "127.0.0.1:1883"]
ready = {port = 1883, within = "1m"}
limits = {memory = "64MiB", cpu = "50%", files = 256, processes = 32}
T
mkdir -p /etc/systemd/system/iod.service.d
printf '[Service]\nWatchdogSec=8s\n' > /etc/systemd/system/iod.service.d/soon.conf
systemctl daemon-reload
becomes "iod-full account faucet $(as_iod 'iod key show --key /var/lib/iod/device.key -o json' | sed 's/.*"address":"\([^"]*\)".*/\1/') >/dev/null 2>&1"
ok "it starts, and says so" systemctl start iod
ok "it becomes healthy" becomes 'as_iod "iod device status -c /etc/iod/device.toml" >/dev/null 2>&1'
as_iod 'iod device status -c /etc/iod/device.toml'
ok "it gives signs of life" test -n "$(property WatchdogTimestamp)"
ok "its programs have control groups below its own" test "$(cat /sys/fs/cgroup/system.slice/iod.service/iod-*/weather-1/memory.max)" = 67108864
sed -i 's/data_type = "weather"/data_type = "wind"/' /etc/iod/device.toml
ok "it reloads" systemctl reload iod
ok "what changed is published" becomes 'journalctl -u iod --no-pager -o cat | grep -q "document published.*changes=.data_type"'
cp /etc/iod/device.toml /root/good
echo 'nonsense = 1' >> /etc/iod/device.toml
ok "a bad manifest fails the reload" no systemctl reload iod
ok "and the service goes on" systemctl is-active --quiet iod
cp /root/good /etc/iod/device.toml
main=$(property MainPID) program=$(pidof weather)
kill -9 "$main"
ok "killed with -9 it comes back, and its program anew" becomes '[ "$(property NRestarts)" = 1 ] && [ "$(property ActiveState)" = active ] && pidof weather >/dev/null'
ok "nothing is left of the old program" no kill -0 "$program"
ok "there is one program" test "$(pidof weather | wc -w)" = 1
kill -STOP "$(property MainPID)"
ok "frozen it is noticed by the watchdog, and comes back" becomes '[ "$(property NRestarts)" = 2 ] && [ "$(property ActiveState)" = active ]'
ok "it stops" systemctl stop iod
ok "with success" test "$(property Result)" = success
ok "and leaves nothing running" no pidof weather
ok "it is removed" dpkg -P iod
ok "but for the key, which may hold money" test "$(ls -A /var/lib/iod)" = device.key
echo "that was all"
poweroff -f
