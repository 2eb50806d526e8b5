package runtime

import "sync"

// health logs a part's going away and coming back, once each and not once per try.
type health struct {
	mu   sync.Mutex
	log  Log
	away map[string]bool
}

func newHealth(log Log) *health { return &health{log: log, away: map[string]bool{}} }

func (h *health) down(part string, err error) {
	h.mu.Lock()
	was := h.away[part]
	h.away[part] = true
	h.mu.Unlock()
	if !was {
		h.log(Warn, part+" is not available; trying on", "error", err)
		return
	}
	h.log(Debug, part+" is still not available", "error", err)
}

func (h *health) up(part string) {
	h.mu.Lock()
	was := h.away[part]
	delete(h.away, part)
	h.mu.Unlock()
	if was {
		h.log(Info, part+" is available again")
	}
}

// Away returns the parts that are away.
func (h *health) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var parts []string
	for p := range h.away {
		parts = append(parts, p)
	}
	return parts
}
