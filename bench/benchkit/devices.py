# SPDX-License-Identifier: MIT
"""A guest whose devices are measured: its initramfs, its monitors' command lines, and the host's side of each device."""
import json
import os

from . import linux, monitors, place, setup  # setup knows where labkit is
from labkit import cache, images, packages, program
from labkit.cpio import Archive
from labkit.kernel import Kernel

KERNEL = 'cloud'
DRIVERS = ('virtio_mmio', 'virtio_pci', 'virtio_blk', 'virtio_net', 'virtio_console', 'virtiofs',
           'vmw_vsock_virtio_transport')
TOOLS = ('fio', 'iperf3')
CMDLINE = 'console=ttyS0 quiet panic=-1 cryptomgr.notests'
MEMORY_MIB = 512
TALK = ['/usr/bin/python3', os.path.join(place.TOP, 'bench', 'benchkit', 'talk.py')]
MACHINE = 'microvm,pit=off,pic=off,rtc=on,x-option-roms=off,auto-kernel-cmdline=off'
# QEMU's own, and the one that came after it.
VIRTIOFSDS = (['/usr/lib/qemu/virtiofsd', '-o', 'source='], ['/usr/libexec/virtiofsd', '--shared-dir='])

# The host's side: a block device of RAM, a file on a file system that lies on another, a directory, a tap interface.
DISK_MIB = 128
SETUP = f"""
{{busybox}} insmod {{ramdisk}} rd_nr=2 rd_size={2 * DISK_MIB * 1024}
export PATH=$PATH:/usr/sbin:/sbin
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 /dev/ram0
mkdir -p /run/disks
mount /dev/ram0 /run/disks
mkdir /run/disks/shared
dd if=/dev/urandom of=/run/disks/disk bs=1M count={DISK_MIB}
dd if=/dev/urandom of=/run/disks/shared/file bs=1M count=64
dd if=/run/disks/disk of=/dev/ram1 bs=1M
sync
ip link set lo up
ip tuntap add tap7 mode tap
ip address add 10.9.0.1/24 dev tap7
ip link set tap7 up
{{iperf}} > /dev/null 2>&1 &
{{flow}} serve tcp:10.9.0.1:5000 &
{{flow}} serve vsock:0xffffffff:5000 &
{{flow}} serve unix:/run/vsock_5000 &
"""


def why_not():
    return linux.why_not() or next((why for why in map(packages.why_not, (KERNEL, 'busybox', *TOOLS)) if why), None)


def build(busybox, init, script, flow, modules):
    archive = Archive()
    for directory in ('bin', 'dev', 'lib', images.LIBRARIES, 'lib64', 'mnt', 'modules', 'proc', 'sys', 'tmp'):
        archive.add_dir(directory)
    archive.add_char_device('dev/console', 5, 1)
    archive.add_file('init', init, 0o755)
    archive.add_file('guest.sh', script, 0o755)
    archive.add_file('bin/flow', flow, 0o755)
    with open(busybox, 'rb') as file:
        archive.add_file('bin/busybox', file.read(), 0o755)
    for name in program.ask([busybox, '--list']).stdout.split():
        if name not in ('busybox', 'init'):
            archive.add_link(f'bin/{name}', 'busybox')
    have = set()
    for name in TOOLS:
        images.add_linked_program(archive, packages.get(name), name, have)
    for name, content in modules:
        archive.add_file(f'modules/{name}.ko', content)
    archive.add_file('modules/order', ''.join(f'{name}.ko\n' for name, _ in modules).encode())
    return archive.finish()


def flow_program():
    """The path of the other end of what the guest says."""
    source = os.path.join(place.TOP, 'bench', 'flow.c')
    with open(source, 'rb') as file:
        name = f'bench-flow-{cache.digest(file.read())}'
    images.static_program('bench-flow', [source])
    return cache.path('programs', name)


def initramfs():
    """The path of an initramfs with the tools, made if need be."""
    bench = os.path.join(place.TOP, 'bench')
    busybox = packages.within(packages.get('busybox'), 'bin/busybox')
    init = images.static_program('guest-init', [os.path.join(place.TOP, 'lab', 'guest', 'init.c')])
    flow = images.static_program('bench-flow', [os.path.join(bench, 'flow.c')])
    with open(os.path.join(bench, 'devices.sh'), 'rb') as file, open(__file__, 'rb') as recipe:
        script, recipe = file.read(), recipe.read()
    trees = [packages.get(name) for name in (KERNEL, 'busybox', *TOOLS)]
    result = cache.path('initramfs', f'devices-{cache.digest(init, flow, script, recipe, *trees)}.cpio')
    if not os.path.exists(result):
        modules = Kernel(packages.get(KERNEL)).modules(DRIVERS)
        cache.write_file(result, build(busybox, init, script, flow, modules))
    return result


def guest():
    return linux.Guest(KERNEL, images.vmlinux(KERNEL), Kernel(packages.get(KERNEL)).vmlinuz, initramfs())


def prepare(given, where, guest):
    """The host's side, once in a lab."""
    ramdisk = os.path.join(given.scratch, 'brd.ko')
    with open(ramdisk, 'wb') as file:
        file.write(dict(Kernel(packages.get('generic')).modules(['brd']))['brd'])
    where.warm([guest.elf, guest.initrd])
    busybox = packages.within(packages.get('busybox'), 'bin/busybox')
    script = SETUP.format(busybox=busybox, ramdisk=ramdisk, iperf=iperf(packages.get('iperf3')), flow=flow_program())
    where.run(['sh', '-c', script], seconds=300)


def iperf(tree):
    """Its server, without being installed."""
    path = ':'.join(os.path.join(tree, part) for part in ('lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'))
    loader = os.path.join(os.path.dirname(packages.within(tree, 'lib/x86_64-linux-gnu/libc.so.6')),
                          os.path.basename(images.LOADER))
    return f'{loader} --library-path {path} {packages.within(tree, "bin/iperf3")} -s'


# ---- the monitors ----

def pronto(given, transport, options):
    """Its command line for a guest with these devices; with PCI the kernel must be free to look for it."""
    monitor = given.monitor('pronto')
    if not monitor or monitor.why_not():
        raise place.Failed('pronto does not take part')
    result = monitors.Pronto('pronto', monitor.program, '--rng', 'off', '--transport', transport, *options)
    return lambda guest: result.argv(guest.elf, MEMORY_MIB, 1, guest.initrd, CMDLINE)


def qemu(transport, options, shared=False):
    """The same of QEMU's.  In OPTIONS @ is where the name of a device says how it is reached."""
    kind = 'pci' if transport == 'pci' else 'device'
    machine = MACHINE + (',pcie=on' if transport == 'pci' else '') + (',memory-backend=ram' if shared else '')
    result = monitors.Qemu('qemu', monitors.QEMU, machine)
    words = ['-global', 'virtio-mmio.force-legacy=false', '-object', 'iothread,id=io']
    words += ['-object', f'memory-backend-memfd,id=ram,size={MEMORY_MIB}M,share=on'] if shared else []
    words += [word.replace('@', kind) for word in options]
    return lambda guest: result.argv(guest.elf, MEMORY_MIB, 1, guest.initrd, CMDLINE) + words


def virtiofsd(directory, socket):
    """The command that serves a directory, as pronto starts it."""
    path, *words = next((way for way in VIRTIOFSDS if os.access(way[0], os.X_OK)), VIRTIOFSDS[-1])
    return [path, f'--socket-path={socket}', *words[:-1], words[-1] + directory]


def measure(where, argv, commands, beside=(), seconds=900):
    """{part: counts and times} of one boot."""
    plan = {'argv': argv, 'beside': list(beside), 'commands': commands}
    return json.loads(where.run([*TALK, json.dumps(plan)], seconds=seconds))
