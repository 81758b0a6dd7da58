// SPDX-License-Identifier: MIT

//! Drive a machine by firecracker-rs-sdk.  What it is told goes to the file FACTS, as JSON.
//!
//! usage: drive life FACTS KERNEL DISK TAP
//!        drive linux FACTS KERNEL INITRD CMDLINE DISK TAP
//!
//! Standard output is the guest's console, and a file: that is how we see that the guest is ready.

use firecracker_rs_sdk::firecracker::FirecrackerOption;
use firecracker_rs_sdk::instance::Instance;
use firecracker_rs_sdk::models::*;
use firecracker_rs_sdk::Result;
use serde_json::{json, Value};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const PATIENCE: Duration = Duration::from_secs(1000); // the test that runs us has less

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;

    while !is_so() {
        assert!(Instant::now() < end, "{} did not come", what);
        thread::sleep(Duration::from_millis(5));
    }
}

fn guest_said(text: &str) -> bool {
    let said = fs::read("/proc/self/fd/1").expect("the console");

    String::from_utf8_lossy(&said).contains(text)
}

fn wait_for_guest(text: &str) {
    wait_until(text, || guest_said(text));
}

/// The fields of /proc/PID/stat from the state on.
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid)).expect("the process");
    let (_, fields) = text.rsplit_once(") ").expect("its name");

    fields.split_whitespace().map(String::from).collect()
}

/// The SDK waits for nobody, and its processes are ours to look at, not to wait for.
fn wait_for_end(pid: u32) -> String {
    wait_until("the end", || stat(pid)[0] == "Z");
    stat(pid).pop().expect("the exit code")
}

/// What differs between the machines.
struct Machine<'a> {
    cpus: usize,
    mib: usize,
    kernel: &'a str,
    initrd: Option<&'a str>,
    args: &'a str,
    disk: &'a str,
    has_root: bool,
    tap: &'a str,
    vsock: &'a str,
}

/// One with every device.
fn configure(vm: &mut Instance, machine: &Machine) -> Result<()> {
    vm.put_machine_configuration(&MachineConfiguration {
        vcpu_count: machine.cpus as _,
        mem_size_mib: machine.mib as _,
        smt: Some(false),
        cpu_template: None,
        track_dirty_pages: None,
        huge_pages: None,
    })?;
    vm.put_guest_boot_source(&BootSource {
        kernel_image_path: machine.kernel.into(),
        boot_args: Some(machine.args.into()),
        initrd_path: machine.initrd.map(|path| path.into()),
    })?;
    vm.put_guest_drive_by_id(&Drive {
        drive_id: "rootfs".into(),
        path_on_host: machine.disk.into(),
        is_root_device: machine.has_root,
        is_read_only: false,
        partuuid: None,
        cache_type: None,
        rate_limiter: None,
        io_engine: Some(IoEngine::Async),
        socket: None,
    })?;
    vm.put_guest_network_interface_by_id(&NetworkInterface {
        iface_id: "eth0".into(),
        guest_mac: Some("02:00:00:00:00:07".into()),
        host_dev_name: machine.tap.into(),
        rx_rate_limiter: None,
        tx_rate_limiter: None,
    })?;
    vm.put_guest_vsock(&Vsock {
        guest_cid: 3,
        uds_path: machine.vsock.into(),
        vsock_id: None,
    })?;
    vm.put_entropy_device(&EntropyDevice { rate_limiter: None })?;
    vm.put_balloon(&Balloon {
        amount_mib: 8,
        deflate_on_oom: true,
        stats_polling_interval_s: Some(1),
    })?;
    vm.put_mmds_config(&MmdsConfig {
        version: Some(MmdsConfigVersion::V2),
        ipv4_address: None,
        network_interfaces: vec!["eth0".into()],
    })?;
    vm.put_mmds(&String::from("first"))?; // it knows of no other metadata
    Ok(())
}

fn new_instance() -> Result<Instance> {
    let mut vm = FirecrackerOption::new("firecracker")
        .api_sock("api.sock")
        .id("by-rust")
        .build()?;

    vm.start_vmm()?;
    Ok(vm)
}

fn state(vm: &mut Instance) -> Result<InstanceState> {
    Ok(vm.describe_instance()?.state)
}

fn life(kernel: &str, disk: &str, tap: &str) -> Result<Value> {
    let mut vm = new_instance()?;
    let before = vm.describe_instance()?;
    let no_kernel = vm.start().unwrap_err().to_string();
    let machine = Machine {
        cpus: 1,
        mib: 128,
        kernel,
        initrd: None,
        args: "console=ttyS0",
        disk,
        has_root: true,
        tap,
        vsock: "vsock.sock",
    };
    configure(&mut vm, &machine)?;
    vm.start()?;
    wait_for_guest("ready");

    let running = state(&mut vm)?;
    vm.pause()?;
    let paused = state(&mut vm)?;
    vm.resume()?;
    let resumed = state(&mut vm)?;
    vm.patch_mmds(&String::from("second"))?;
    vm.patch_balloon(&BalloonUpdate { amount_mib: 16 })?;
    vm.patch_balloon_stats_interval(&BalloonStatsUpdate {
        stats_polling_interval_s: 2,
    })?;
    vm.patch_guest_network_interface_by_id(&PartialNetworkInterface {
        iface_id: "eth0".into(),
        rx_rate_limiter: None,
        tx_rate_limiter: None,
    })?;
    let told = json!({
        "before": before, "no kernel": no_kernel, "running": running, "paused": paused, "resumed": resumed,
        "version": vm.get_firecracker_version()?, "machine": vm.get_machine_configuration()?,
        "configuration": vm.get_export_vm_config()?, "balloon": vm.describe_balloon_config()?,
        "metadata": vm.get_mmds()?, "statistics": vm.describe_balloon_stats()?, "second start": vm.start().unwrap_err().to_string(),
    });
    vm.stop()?;
    let status = wait_for_end(vm.firecracker_pid().expect("its number"));
    Ok(json!({ "told": told, "status": status }))
}

/// Paused again and again, while the guest is at its network and its disk; how often.
fn pauses(vm: &mut Instance) -> Result<usize> {
    let mut n = 0;

    while n == 0 || !guest_said("@@ filled ") {
        vm.pause()?;
        vm.resume()?;
        thread::sleep(Duration::from_secs(1)); // in which it is to get on
        n += 1;
    }
    Ok(n)
}

/// A Linux that has drivers for all of it, and says on its console how far it is.
fn linux(kernel: &str, initrd: &str, args: &str, disk: &str, tap: &str) -> Result<Value> {
    let mut vm = new_instance()?;
    let machine = Machine {
        cpus: 2,
        mib: 256,
        kernel,
        initrd: Some(initrd),
        args,
        disk,
        has_root: false,
        tap,
        vsock: "vsock",
    };

    configure(&mut vm, &machine)?;
    vm.start()?;
    wait_for_guest("@@ nic ");
    let n = pauses(&mut vm)?;
    wait_for_guest("@@ ready button");
    // Statistics are not asked for: of any length, they are now and then one that the SDK does not find the end of.
    vm.patch_balloon(&BalloonUpdate { amount_mib: 32 })?;
    let balloon = vm.describe_balloon_config()?;
    vm.stop()?;
    let status = wait_for_end(vm.firecracker_pid().expect("its number"));
    Ok(json!({ "pauses": n, "balloon": balloon, "status": status }))
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let given: Vec<&str> = arguments.iter().skip(3).map(String::as_str).collect();
    let told = match (arguments[1].as_str(), given.as_slice()) {
        ("life", &[kernel, disk, tap]) => life(kernel, disk, tap),
        ("linux", &[kernel, initrd, args, disk, tap]) => linux(kernel, initrd, args, disk, tap),
        _ => panic!("it is used in another way"),
    };

    fs::write(&arguments[2], told.expect("the life").to_string()).expect("the facts");
}
