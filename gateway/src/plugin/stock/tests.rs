//! How many there are, who gets them, and in which order.

use std::collections::HashSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Room for one, which is taken.
fn sold_out() -> Stock<u32> {
    let stock = Stock::new(1);
    assert_eq!(
        poll(pin!(stock.take_when_free())),
        Poll::Ready(Supply::Room)
    );
    stock
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_never_more_than_the_limit_and_nobody_is_forgotten() {
    worker::set_count(2);
    let stock = Arc::new(Stock::new(2));
    let made = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..50)
        .map(|task| {
            let (stock, made) = (Arc::clone(&stock), Arc::clone(&made));
            tokio::spawn(async move {
                for round in 0..50 {
                    // Whichever thread it is, as a task of either worker; until it awaits.
                    worker::enter(task % 2);
                    if (task + round) % 7 == 0 {
                        // One that gives up at once, or after it was given something.
                        match poll(pin!(stock.take_when_free())) {
                            Poll::Ready(Supply::Instance(it)) => stock.put_back(it, Instant::now()),
                            Poll::Ready(Supply::Room) => stock.remove(),
                            Poll::Pending => {}
                        }
                    }
                    let taken = match stock.take_warm() {
                        Some(instance) => Supply::Instance(instance),
                        None => stock.take_when_free().await,
                    };
                    let instance = match taken {
                        Supply::Instance(instance) => instance,
                        Supply::Room => made.fetch_add(1, SeqCst),
                    };
                    tokio::task::yield_now().await;
                    worker::enter(task % 2);
                    if (task + round) % 5 == 0 {
                        made.fetch_sub(1, SeqCst);
                        stock.remove();
                    } else {
                        assert!(made.load(SeqCst) <= 2);
                        stock.put_back(instance, Instant::now());
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(stock.room() + stock.idle(), 2);
    assert!(!stock.is_awaited());
}

#[test]
fn who_waits_is_served_in_order_and_before_whoever_comes_later() {
    let stock = sold_out();
    let mut first = pin!(stock.take_when_free());
    let mut second = pin!(stock.take_when_free());
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    stock.put_back(7, Instant::now());
    assert_eq!(stock.take_warm(), None, "it is promised");
    let mut late = pin!(stock.take_when_free());
    assert!(poll(late.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    assert_eq!(poll(first.as_mut()), Poll::Ready(Supply::Instance(7)));
    stock.remove();
    assert!(poll(late.as_mut()).is_pending());
    assert_eq!(poll(second.as_mut()), Poll::Ready(Supply::Room));
    stock.put_back(8, Instant::now());
    assert_eq!(poll(late.as_mut()), Poll::Ready(Supply::Instance(8)));
    stock.put_back(8, Instant::now());
    assert_eq!(stock.take_warm(), Some(8));
}

#[test]
fn what_somebody_was_granted_who_has_left_goes_to_the_next() {
    let stock = sold_out();
    let mut first = Box::pin(stock.take_when_free());
    let mut second = pin!(stock.take_when_free());
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    stock.put_back(7, Instant::now());
    drop(first);
    assert_eq!(poll(second.as_mut()), Poll::Ready(Supply::Instance(7)));
    stock.put_back(7, Instant::now());
    assert_eq!((stock.room(), stock.idle()), (0, 1));
}

#[test]
fn who_has_left_is_forgotten_also_when_nothing_ever_comes() {
    let stock = sold_out();
    for _ in 0..100 {
        let (mut first, mut second) = (
            Box::pin(stock.take_when_free()),
            Box::pin(stock.take_when_free()),
        );
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        drop(second);
        drop(first);
    }
    assert!(stock.queue.lock().is_empty() && !stock.is_awaited());
}

#[test]
fn one_of_another_worker_is_had_where_there_is_no_room() {
    worker::set_count(2);
    let stock = Stock::new(2);
    stock.add(0, 1);
    stock.add(1, 2);
    stock.add(1, 3);
    assert_eq!((stock.room(), stock.idle()), (0, 2), "no room for a third");
    let thread = std::thread::spawn(move || {
        worker::enter(1);
        assert_eq!(stock.take_warm(), Some(2));
        assert_eq!(
            stock.take_warm(),
            None,
            "no worker looks at others' shelves on the way"
        );
        assert_eq!(
            poll(pin!(stock.take_when_free())),
            Poll::Ready(Supply::Instance(1))
        );
        assert!(poll(pin!(stock.take_when_free())).is_pending());
    });
    thread.join().unwrap();
}

#[test]
fn what_is_idle_for_long_is_taken_off_but_for_the_newest() {
    let stock = Stock::new(4);
    for instance in 0..3 {
        stock.add(0, instance);
    }
    assert!(stock.retire(Duration::from_secs(60)).is_empty());
    assert_eq!(stock.retire(Duration::ZERO), [0, 1]);
    assert_eq!((stock.room(), stock.idle()), (3, 1));
    assert_eq!(stock.take_warm(), Some(2));
}

#[test]
fn all_can_be_taken_off() {
    let mut stock = Stock::new(4);
    stock.add(0, 1);
    stock.add(0, 2);
    assert_eq!(stock.empty().collect::<HashSet<_>>(), HashSet::from([1, 2]));
    assert_eq!(stock.idle(), 0);
}
