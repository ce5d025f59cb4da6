/* What happens at the end of a turn of the loop: items are flushed, then those that are over are freed (eio_loop.c).
 * Private to this library. */
#ifndef EIO_TURN_H
#define EIO_TURN_H

/* Something that has work to do at the end of a turn, a member of its owner's. It is in one list of the loop at most.
 */
struct eio__turn_item {
    struct eio__turn_item *next; /* NULL: in no list */
    const struct eio__turn_ops *ops;
};
struct eio__turn_ops {
    void (*flush)(struct eio__turn_item *item); /* it may ask for another, or to be freed */
    void (*free)(struct eio__turn_item *item);  /* the item goes */
};
/* In order, from head.next to the one whose next is the head again. */
struct eio__turn_list {
    struct eio__turn_item head, *last;
};

static inline void eio__turn_list_add(struct eio__turn_list *list, struct eio__turn_item *item)
{
    item->next = &list->head;
    list->last->next = item;
    list->last = item;
}
#endif
