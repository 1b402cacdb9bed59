package promptlimit

// queues are who waits for each limit, in the order in which they came. They only say
// when to look again: who is missed, or stays on for nothing, costs others an hour.
type queues struct {
	of     map[string]string // the value that a Charge waits for
	values map[string]*queue
}

type queue struct {
	numbers    map[string]int // by the name of the Charge
	next, left int
}

// position of a Charge in the queue for a value, from 0; it joins at the end.
func (q *queues) position(charge, value string) int {
	if q.of[charge] != value {
		q.leave(charge)
		q.join(charge, value)
	}
	at := q.values[value]
	return max(0, at.numbers[charge]-at.left)
}

func (q *queues) join(charge, value string) {
	if q.of == nil {
		q.of, q.values = map[string]string{}, map[string]*queue{}
	}
	if q.values[value] == nil {
		q.values[value] = &queue{numbers: map[string]int{}}
	}
	at := q.values[value]
	at.numbers[charge] = at.next
	at.next++
	q.of[charge] = value
}

func (q *queues) leave(charge string) {
	value, waits := q.of[charge]
	if !waits {
		return
	}
	delete(q.of, charge)
	at := q.values[value]
	delete(at.numbers, charge)
	at.left++
	if len(at.numbers) == 0 {
		delete(q.values, value)
	}
}
