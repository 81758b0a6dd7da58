// SPDX-License-Identifier: MIT

//! Drive a machine by firecracker-rs-sdk.  What it is told goes to the file FACTS, as JSON.
//!
//! usage: drive FACTS KERNEL DISK TAP
//!
//! Standard output is the guest's console, and a file: that is how we see that the guest is ready.

use firecracker_rs_sdk::firecracker::FirecrackerOption;
use firecracker_rs_sdk::instance::Instance;
use firecracker_rs_sdk::models::*;
use firecracker_rs_sdk::Result;
use serde_json::{json, Value};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const PATIENCE: Duration = Duration::from_secs(60);

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;

    while !is_so() {
        assert!(Instant::now() < end, "{} did not come", what);
        thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for_guest(text: &str) {
    wait_until(text, || {
        let said = fs::read("/proc/self/fd/1").expect("the console");
        String::from_utf8_lossy(&said).contains(text)
    });
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

fn configure(vm: &mut Instance, kernel: &str, disk: &str, tap: &str) -> Result<()> {
    vm.put_machine_configuration(&MachineConfiguration {
        vcpu_count: 1,
        mem_size_mib: 128,
        smt: Some(false),
        cpu_template: None,
        track_dirty_pages: None,
        huge_pages: None,
    })?;
    vm.put_guest_boot_source(&BootSource {
        kernel_image_path: kernel.into(),
        boot_args: Some("console=ttyS0".into()),
        initrd_path: None,
    })?;
    vm.put_guest_drive_by_id(&Drive {
        drive_id: "rootfs".into(),
        path_on_host: disk.into(),
        is_root_device: true,
        is_read_only: false,
        partuuid: None,
        cache_type: None,
        rate_limiter: None,
        io_engine: Some(IoEngine::Async),
        socket: None,
    })?;
    vm.put_guest_network_interface_by_id(&NetworkInterface {
        iface_id: "eth0".into(),
        guest_mac: Some("06:00:00:00:00:07".into()),
        host_dev_name: tap.into(),
        rx_rate_limiter: None,
        tx_rate_limiter: None,
    })?;
    vm.put_guest_vsock(&Vsock {
        guest_cid: 3,
        uds_path: "vsock.sock".into(),
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

fn state(vm: &mut Instance) -> Result<InstanceState> {
    Ok(vm.describe_instance()?.state)
}

fn life(kernel: &str, disk: &str, tap: &str) -> Result<Value> {
    let mut vm = FirecrackerOption::new("firecracker")
        .api_sock("api.sock")
        .id("by-rust")
        .build()?;

    vm.start_vmm()?;
    let before = vm.describe_instance()?;
    let no_kernel = vm.start().unwrap_err().to_string();
    configure(&mut vm, kernel, disk, tap)?;
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

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let told = life(&arguments[2], &arguments[3], &arguments[4]).expect("the life");

    fs::write(&arguments[1], told.to_string()).expect("the facts");
}
