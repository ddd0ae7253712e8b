"""The scripts of a machine that reads: what starts the agent, assembles volumes, replays a journal."""

from __future__ import annotations

# Read-ahead is off for the reason that converters/filesystems/initrd.py gives; what is assembled lies over
# loop devices, whose reads go through the disk's page cache and so are one page a request.
INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
for module in /modules/*.ko; do
    case $module in
    *-loop.ko) /bin/busybox insmod "$module" max_loop=0 ;;
    *) /bin/busybox insmod "$module" ;;
    esac
done
for disk in /sys/block/ubd*; do echo 0 > "$disk/queue/read_ahead_kb"; done
/bin/busybox stty raw -echo -F /dev/ttyS0
exec /usr/bin/python3 -S -E -B /agent.py
"""

# Arrays start read-only until something is written, and are hardly synchronised meanwhile: only reads matter.
# LVM sees loop devices and arrays alone; without udev it makes its device nodes itself.
ASSEMBLE = r"""#!/bin/busybox sh
: > /assembled
if [ -e /sys/module/md_mod/parameters/start_ro ]; then
    echo 1 > /sys/module/md_mod/parameters/start_ro
    echo 1 > /proc/sys/dev/raid/speed_limit_min
    echo 1 > /proc/sys/dev/raid/speed_limit_max
fi
if [ -x /sbin/mdadm ]; then
    /bin/busybox mkdir -p /etc/mdadm
    echo 'DEVICE /dev/loop*' > /etc/mdadm/mdadm.conf
    /sbin/mdadm --assemble --scan --run --config=/etc/mdadm/mdadm.conf --homehost='<ignore>' 2>&1
    for array in /sys/block/md*; do
        [ -e "$array/md" ] || continue
        device=/dev/${array##*/}
        uuid=$(/sbin/mdadm --detail --export "$device" | /bin/busybox sed -n 's/^MD_UUID=//p')
        [ -n "$uuid" ] && echo "$device=md:$uuid" >> /assembled
    done
fi
if [ -x /sbin/lvm ]; then
    export LVM_SUPPRESS_FD_WARNINGS=1 LVM_SYSTEM_DIR=/etc/lvm
    /bin/busybox mkdir -p /etc/lvm /run/lock/lvm
    /bin/busybox cat > /etc/lvm/lvm.conf << 'END'
devices {
    scan = [ "/dev" ]
    filter = [ "a|^/dev/loop[0-9]+$|", "a|^/dev/md[0-9]+$|", "r|.*|" ]
    use_devicesfile = 0
    md_component_detection = 1
    obtain_device_list_from_udev = 0
    external_device_info_source = "none"
}
global {
    use_lvmpolld = 0
    thin_check_executable = ""
    cache_check_executable = ""
}
activation {
    udev_sync = 0
    udev_rules = 0
    monitoring = 0
    activation_mode = "degraded"
}
backup {
    backup = 0
    archive = 0
}
END
    /sbin/lvm vgchange -ay --sysinit 2>&1
    /sbin/lvm vgmknodes 2>&1
    for device in $(/sbin/lvm lvs --noheadings -o lv_path -S 'lv_active=active' 2>/dev/null); do
        [ -e "$device" ] && echo "$(/bin/busybox readlink -f "$device")=$device" >> /assembled
    done
fi
[ -s /assembled ]
"""

# The same as the recovery's (converters/filesystems/initrd.py), for a device that was assembled.
REPLAY = """#!/bin/busybox sh
device=$1 type=$2 options=$3
attach() { /bin/busybox mount -t "$type" -o "$options" "$device" /mnt; }
check() {
    [ "$type" = ext4 ] && [ -x /e2fsck ] || return 1
    /e2fsck -p "$device"
    [ $? -le 1 ]
}
{ attach || { check && attach; }; } && /bin/busybox umount /mnt && /bin/busybox sync
"""
