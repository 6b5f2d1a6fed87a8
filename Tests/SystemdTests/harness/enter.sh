#!/usr/bin/env bash
# Run as the first process of new namespaces (mount, pid, network, ipc, uts): lays a root directory
# of its own over the machine's and becomes systemd in it. Whatever is written goes to memory and
# is gone with the namespaces. Called by box.py alone, in two steps:
#
#   enter.sh join BOX CGROUP    moves into its own control group; /proc is still the machine's
#   enter.sh boot BOX           makes the root directory and starts systemd
#
# BOX/tree is laid over the machine's files.
set -euo pipefail

join() {
  local box=$1 cgroup=$2
  echo 0 >"$cgroup/cgroup.procs"
  # A systemd outside its own control group would take the machine's apart.
  grep -q "^0::.*/${cgroup##*/}\$" /proc/self/cgroup || {
    echo 'not in a control group of its own' >&2
    exit 1
  }
  exec unshare --cgroup bash "$0" boot "$box"
}

boot() {
  local box=$1 memory=$1/memory root=$1/memory/root device unit
  mount --make-rprivate /
  mkdir -p "$memory"
  mount -t tmpfs -o mode=755 box "$memory"
  mkdir "$memory"/{written,work,root}
  mount -t overlay -o "lowerdir=/,upperdir=$memory/written,workdir=$memory/work" box "$root"

  mount -t proc -o nosuid,noexec,nodev proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  [ ! -e "$root/proc/sysrq-trigger" ] || mount --bind /dev/null "$root/proc/sysrq-trigger"
  mount -t sysfs -o ro,nosuid,noexec,nodev sysfs "$root/sys"
  mount -t cgroup2 -o nosuid,noexec,nodev cgroup2 "$root/sys/fs/cgroup"

  mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
  mkdir "$root"/dev/{pts,shm,mqueue,hugepages}
  for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  ln -s fd/0 "$root/dev/stdin"
  ln -s fd/1 "$root/dev/stdout"
  ln -s fd/2 "$root/dev/stderr"

  # None of the machine's own state: sockets, temporary files, enabled units.
  mount -t tmpfs -o mode=1777,nosuid,nodev shm "$root/dev/shm"
  mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
  mount -t tmpfs -o mode=1777,nosuid,nodev tmp "$root/tmp"
  mount -t tmpfs -o mode=755,nosuid,nodev units "$root/etc/systemd/system"
  cp -a "$box"/tree/* "$root/"

  mkdir -p "$root/etc/systemd/journald.conf.d"
  printf '[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nRateLimitIntervalSec=0\n' \
    >"$root/etc/systemd/journald.conf.d/box.conf"
  # What wants hardware or a kernel of its own.
  for unit in systemd-{networkd,timesyncd,logind,udevd,update-utmp,firstboot}.service \
    systemd-journald-audit.socket sys-kernel-{debug,tracing,config}.mount \
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount; do
    ln -s /dev/null "$root/etc/systemd/system/$unit"
  done

  cd "$root"
  pivot_root . .
  umount -l .
  mount --make-rshared /
  exec env -i container=box PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 SYSTEMD_COLORS=0 \
    /lib/systemd/systemd --system --unit=basic.target --show-status=no
}

step=$1
shift
"$step" "$@"
