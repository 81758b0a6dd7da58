# SPDX-License-Identifier: MIT
# A virtual machine as a job of Nomad: the plain command, by the driver raw_exec, as exec's chroot has no /dev/kvm.
#
# The client's configuration must allow it:  plugin "raw_exec" { config { enabled = true } }
# The kernel and the disk are artifacts, so each allocation has a copy of its own.  It has not been tried with a Nomad.
job "machine" {
  type = "service"

  group "machine" {
    # A guest that resets ends with 3, and is started anew; one that powers off ends with 0.
    restart {
      attempts = 3
      mode     = "delay"
    }

    task "pronto" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/pronto"
        args = [
          "run", "-m", "512M", "--net", "user,hostfwd=tcp:${NOMAD_PORT_ssh}:22",
          "--disk", "local/disk.img", "local/vmlinuz", "--", "console=ttyS0 root=/dev/vda rw",
        ]
      }

      artifact {
        source = "https://example.org/vmlinuz"
      }

      artifact {
        source = "https://example.org/disk.img"
      }

      # The power button; then the guest has --grace seconds, 10 unless told otherwise.
      kill_signal  = "SIGTERM"
      kill_timeout = "20s"

      resources {
        cpu    = 1000
        memory = 600 # the guest's, and some for the monitor
      }
    }

    network {
      port "ssh" {}
    }
  }
}
