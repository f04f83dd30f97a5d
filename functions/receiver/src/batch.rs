//! Batches as SNS's `PublishBatch` and EventBridge's `PutEvents` take them.

/// The most entries in one batch.
pub const ENTRIES: usize = 10;

/// The most bytes in one batch, a little short of the 256 KiB that either service takes.
pub const BYTES: usize = 250_000;

/// Divides items into batches, in their order. An item over the limit makes a batch of its own.
pub fn divide<T>(items: &[T], bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut batches, mut start, mut total) = (Vec::new(), 0, 0);
    for (index, item) in items.iter().enumerate() {
        let size = bytes(item);
        if index > start && (index - start == ENTRIES || total + size > BYTES) {
            batches.push(&items[start..index]);
            (start, total) = (index, 0);
        }
        total += size;
    }
    if start < items.len() {
        batches.push(&items[start..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bytes: &[usize]) -> Vec<usize> {
        divide(bytes, |bytes| *bytes).iter().map(|batch| batch.len()).collect()
    }

    #[test]
    fn a_batch_has_ten_entries_and_a_limit_of_bytes() {
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[1; 10]), [10]);
        assert_eq!(sizes(&[1; 25]), [10, 10, 5]);
        assert_eq!(sizes(&[100_000; 5]), [2, 2, 1]);
        assert_eq!(sizes(&[BYTES, 1, BYTES + 1, 1]), [1, 1, 1, 1]);
    }
}
