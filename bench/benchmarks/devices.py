# SPDX-License-Identifier: MIT
"""devices: what a request to each device costs, beside QEMU's microvm machine, in the lab."""
from collections import namedtuple

from benchkit import devices, place, rounds

NAME = 'devices'
TITLE = 'What a request to a device costs'
ROUNDS = 3  # counted: more say the same again
TRANSPORTS = ('mmio', 'pci')
KIB, MIB = 1 << 10, 1 << 20

# ARGUMENTS, for one of the guest's functions, have it do so many UNITS' work; UNIT is what one of them is called.
Job = namedtuple('Job', 'label function arguments units unit')
# What a monitor is told, and what has to run beside it; of QEMU, whether it shares its memory with that.
Way = namedtuple('Way', 'options beside shared', defaults=((), False))
# {contender: Way}; jobs; of fio's, the file
Group = namedtuple('Group', 'title pronto qemu jobs file', defaults=('/dev/vda',))


def fio(label, rw, kib, depth, count):
    size = max(count * kib, 64 * KIB)
    # With more than one under way, they are handed over some at a time, or a guest with one CPU would never have two.
    batch = f' --iodepth_batch_submit={depth // 2} --iodepth_batch_complete_max={depth}' if depth > 1 else ''
    return Job(label, 'measure_fio', f'--rw={rw} --bs={kib}k --iodepth={depth}{batch} --number_ios={count} --size={size}k',
               count, 'request')


def disk_jobs(quick):
    jobs = [fio(f'4 KiB random {rw}, depth {depth}', f'rand{rw}', 4, depth, (200 if quick else 1000) * (4 if depth > 1 else 1))
            for rw in ('read', 'write') for depth in (1, 32)]
    return jobs + [fio(f'1 MiB {rw}, depth {depth}', rw, 1024, depth, 4 if quick else 24)
                   for rw in ('read', 'write') for depth in (1, 32)]


def disk(title, path, direct, quick):
    ours = path + (',direct' if direct else '')
    driver = 'host_device' if path.startswith('/dev') else 'file'
    theirs = f'driver={driver},node-name=d,filename={path},aio=io_uring,cache.direct={"on" if direct else "off"}'
    return Group(title, {'pronto': Way(['--disk', ours])},
                 {'qemu': Way(['-blockdev', theirs, '-device', 'virtio-blk-@,drive=d,iothread=io'])}, disk_jobs(quick))


def net(quick):
    size, turns = (4, 200) if quick else (24, 1000)

    def theirs(vhost):
        return Way(['-netdev', f'tap,id=n,ifname=tap7,script=no,downscript=no,vhost={vhost}',
                    '-device', 'virtio-net-@,netdev=n'])
    jobs = [Job('TCP to the host', 'measure_iperf', f'-c 10.9.0.1 -n {size}M', size, 'MiB'),
            Job('TCP to the guest', 'measure_iperf', f'-c 10.9.0.1 -R -n {size}M', size, 'MiB'),
            Job('TCP, a byte there and back', 'measure', f'flow turns tcp:10.9.0.1:5000 {turns}', turns, 'turn')]
    return Group('network, a tap interface', {'pronto': Way(['--net', 'tap=tap7']), 'pronto-vhost': Way(['--net', 'tap=tap7,vhost'])},
                 {'qemu': theirs('off'), 'qemu-vhost': theirs('on')}, jobs)


def vsock(quick):
    size, turns = (4, 200) if quick else (24, 1000)
    jobs = [Job(f'stream to the {"host" if way == "out" else "guest"}',
                'measure', f'flow {way} vsock:2:5000 {size * MIB}', size, 'MiB') for way in ('out', 'in')]
    jobs.append(Job('a byte there and back', 'measure', f'flow turns vsock:2:5000 {turns}', turns, 'turn'))
    return Group('vsock', {'pronto': Way(['--vsock', '/run/vsock']), 'pronto-vhost': Way(['--vsock', 'cid=8'])},
                 {'qemu-vhost': Way(['-device', 'vhost-vsock-@,guest-cid=7'])}, jobs)


def share(quick):
    n = 20 if quick else 300
    jobs = [fio(f'4 KiB random {rw}', f'rand{rw}', 4, 1, n) for rw in ('read', 'write')]
    jobs += [fio(f'1 MiB {rw}', rw, 1 * KIB, 1, 4 if quick else 16) for rw in ('read', 'write')]
    theirs = Way(['-chardev', 'socket,id=f,path=/run/fs', '-device', 'vhost-user-fs-@,chardev=f,tag=files'],
                 [devices.virtiofsd('/run/disks/shared', '/run/fs')], True)
    return Group('shared directory, virtiofsd', {'pronto': Way(['--share', '/run/disks/shared:files'])},
                 {'qemu': theirs}, jobs, '/mnt/file')


def console(quick):
    large, small = (16, 1) if quick else (64, 4)
    jobs = [Job('lines of 64 bytes to hvc0', 'measure', f'flow tty /dev/hvc0 {large * KIB}', large, 'KiB'),
            Job('lines of 64 bytes to ttyS0', 'measure', f'flow tty /dev/ttyS0 {small * KIB}', small, 'KiB')]
    theirs = ['-device', 'virtio-serial-@', '-chardev', 'file,id=h,path=/run/hvc', '-device', 'virtconsole,chardev=h']
    return Group('consoles', {'pronto': Way(['--hvc', 'file:/run/hvc'])}, {'qemu': Way(theirs)}, jobs)


def groups(quick):
    result = [disk('disk, a file through the page cache', '/run/disks/disk', False, quick)]
    return result if quick else result + [disk('disk, a block device past it', '/dev/ram1', True, quick),
                                          net(quick), vsock(quick), share(quick), console(quick)]


def metrics(jobs):
    result = {}
    for i, job in enumerate(jobs):
        result.update({
            f'time_{i}': (f'{job.label}: time', f'us a {job.unit}'),
            f'cpu_{i}': (f'{job.label}: CPU of the monitor and what serves it', f'us a {job.unit}'),
            f'exits_{i}': (f'{job.label}: exits', f'a {job.unit}'),
            f'user_{i}': (f'{job.label}: exits to user space', f'a {job.unit}'),
            f'calls_{i}': (f'{job.label}: system calls beside those that run the guest', f'a {job.unit}')})
    return result


def figures(jobs, told):
    """From what talk.py printed.  Each exit to user space is one call that runs the guest."""
    result = {}
    for i, job in enumerate(jobs):
        one = told[str(i)]
        result.update({f'time_{i}': one['took_ns'] / 1000 / job.units, f'cpu_{i}': one['cpu_ns'] / 1000 / job.units,
                       f'exits_{i}': one['exits'] / job.units, f'user_{i}': one['user_exits'] / job.units,
                       f'calls_{i}': max(one['calls'] - one['user_exits'], 0) / job.units})
    return result


def commands(group):
    """What the guest is told.  fio is started once for all: to load its libraries takes longer than a job."""
    fios = [(i, job) for i, job in enumerate(group.jobs) if job.function == 'measure_fio']
    result = [f'{job.function} {i} {job.arguments}' for i, job in enumerate(group.jobs) if job.function != 'measure_fio']
    if not fios:
        return result
    words = (f'--thread --gtod_reduce=1 --filename={group.file} --direct=1 --ioengine=io_uring --norandommap --randrepeat=1 '
             '--stonewall')
    sections = [f'--name={i} {job.arguments} --exec_prerun="mark begin {i}" --exec_postrun="mark end {i}"'
                for i, job in fios for _ in range(2)]
    mount = 'mount -t virtiofs files /mnt && ' if group.file.startswith('/mnt') else ''
    return [*result, f'{mount}measure_fio {words} {" ".join(sections)}']


def turn(where, guest, argv, way, group):
    return lambda: figures(group.jobs, devices.measure(where, argv(guest), commands(group), way.beside))


def compete(given, where, guest, group, transport):
    case = rounds.Case(f'{group.title}, {transport}, in the {where.name}', metrics(group.jobs))
    turns = {}
    if given.monitor('pronto'):
        for who, way in group.pronto.items():
            turns[who] = turn(where, guest, devices.pronto(given, transport, way.options), way, group)
    for who, way in group.qemu.items() if given.monitor('qemu-microvm-best') else ():
        turns[who] = turn(where, guest, devices.qemu(transport, way.options, way.shared), way, group)
    return rounds.race(case, turns, min(given.rounds, ROUNDS), given.tell, warm_up=False)


def why_not(_given):
    return devices.why_not()


def run(given):
    guest, cases = devices.guest(), []
    with place.Lab(icount=True, seconds=14400) as where:
        devices.prepare(given, where, guest)
        for transport in TRANSPORTS[:1] if given.quick else TRANSPORTS:
            cases += [compete(given, where, guest, group, transport) for group in groups(given.quick)]
    return cases
