package main

import (
	"context"
	"log/slog"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells systemd how the daemon is. Without systemd it does nothing.
type notifier struct{ log *slog.Logger }

func newNotifier(log *slog.Logger) notifier { return notifier{log} }

func (n notifier) send(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		n.log.Warn("systemd could not be notified", "error", err.Error())
	}
}

// ready says that the daemon works, and, until ctx is done, that it still does,
// twice as often as the watchdog asks.
func (n notifier) ready(ctx context.Context) {
	n.send(systemd.SdNotifyReady)
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		return
	}
	go func() {
		tick := time.NewTicker(interval / 2)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				n.send(systemd.SdNotifyWatchdog)
			}
		}
	}()
}

func (n notifier) stop() { n.send(systemd.SdNotifyStopping) }
